"""What a subject's measurements come to by the index time, as static features.

A network sees the last value of each channel beside its sequence; what the values were on the
whole it must learn to remember. Where examples are few, it is better told.
"""

import polars as pl

from pipelines.ehr.config import EhrConfig

VALUE = pl.col("numeric_value").cast(pl.Float64)
MOMENT = ("subject_id", "code", "time")
# Of a list: a group's sum would be put together of as many parts as there are threads, cut where
# the other subjects' rows happen to lie.
VALUES = pl.col("values")
EXPRESSIONS = {
    "mean": VALUES.list.mean(),
    "minimum": VALUES.list.min(),
    "maximum": VALUES.list.max(),
    "deviation": VALUES.list.std(ddof=0),
    "first": VALUES.list.first(),
}


def summary_names(config: EhrConfig) -> tuple[str, ...]:
    """A column per measurement that is a feature and summary that the study names."""
    return tuple(f"{code}_{name}" for code in _measured(config) for name in config.summaries)


def with_summaries(config: EhrConfig, frame: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Add the columns of ``summary_names`` to examples; null where nothing was measured.

    Only what was known at the example's index time counts, and of that what lies within the
    lookback. A value that was stated again speaks by its newest version known then; of several
    that were known at once the mean is taken. So do the sequences.

    Args:
        frame: subject_id and index_time, a row per subject.
        events: the study's features, as sequences are gathered from.
    """
    if not config.summaries:
        return frame
    index, days = pl.col("index_time"), config.cohort.lookback_days
    known = (pl.col("known_time") <= index) & (pl.col("time") <= index)
    if days is not None:
        known &= pl.col("time") > index - pl.duration(days=days)
    moments = (
        events.with_columns(pl.col("code").cast(pl.String))
        .filter(pl.col("code").is_in(_measured(config)))
        .join(frame.select("subject_id", "index_time"), on="subject_id", maintain_order="left")
        .filter(known)
        .filter(pl.col("known_time") == pl.col("known_time").max().over(MOMENT))
        .group_by(MOMENT)
        .agg(VALUE.alias("values"))
        .with_columns(value=VALUES.list.mean())
        .sort(MOMENT)
    )
    told = (
        moments.group_by("subject_id", "code")
        .agg(pl.col("value").alias("values"))
        .select("subject_id", "code", *(EXPRESSIONS[n].alias(n) for n in config.summaries))
        .unpivot(index=["subject_id", "code"], on=list(config.summaries))
        .with_columns(column=pl.concat_str("code", pl.lit("_"), "variable"))
        .pivot(
            on="column",
            on_columns=list(summary_names(config)),
            index="subject_id",
            values="value",
        )
    )
    return frame.join(told, on="subject_id", how="left", maintain_order="left")


def _measured(config: EhrConfig) -> list[str]:
    return [code for code in config.feature_codes if config.codes[code].role == "measurement"]
