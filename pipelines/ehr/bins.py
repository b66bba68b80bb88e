"""Bins of time: what was measured within one is one time step, known when the bin ends."""

import polars as pl

from pipelines.ehr.config import EhrConfig

MICROSECONDS_PER_MINUTE = 60_000_000


def binned(config: EhrConfig, events: pl.DataFrame) -> pl.DataFrame:
    """Features moved to the end of their bin, and known no earlier than that.

    Values of one channel at one moment are averaged when sequences are gathered, so a bin's value
    is its mean. Markers stay where they are: they shape the cohort and the label. Whether somebody
    had an outcome, or is excluded by one, is asked of the events as they happened, not of bins.
    """
    if config.bin_minutes is None:
        return events
    length = config.bin_minutes * MICROSECONDS_PER_MINUTE
    since = pl.col("time").dt.epoch("us")
    end = pl.from_epoch(-(-since // length) * length, "us").dt.replace_time_zone("UTC")
    is_feature = pl.col("code").cast(pl.String).is_in(config.feature_codes)
    moved = events.with_columns(time=pl.when(is_feature).then(end).otherwise("time"))
    return moved.with_columns(known_time=pl.max_horizontal("known_time", "time"))
