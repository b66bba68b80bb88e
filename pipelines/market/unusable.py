"""Bars that were accepted and cannot be examples: they are counted, so that no name vanishes."""

import polars as pl

from pipelines.market.config import MarketConfig
from pipelines.market.groups import UNKNOWN
from pipelines.market.returns import BAR, closes, newest_in_time, trading_sessions

NO_SESSION, LATE = "no_session", "late"
FAULTS = {
    NO_SESSION: "not of the close of a session of the exchange",
    LATE: "known only after its session's example is made (late)",
}
CODES = ("close", "adjusted_close")


def unusable_bars(
    config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame
) -> pl.DataFrame:
    """subject_id, sector and fault, a row per bar with a price; other groups are not known of it.

    fault: ``no_session``, the time is no session's close; ``late``, known after its deadline.
    """
    sessions = trading_sessions(config)
    prices = closes(events, sessions)
    late = prices.unique(BAR).join(newest_in_time(prices, sessions), on=BAR, how="anti")
    outside = (
        events.filter(
            pl.col("code").cast(pl.String).is_in(CODES) & pl.col("numeric_value").is_not_null()
        )
        .unique(["subject_id", "time"])
        .join(sessions, on="time", how="anti")
    )
    found = pl.concat(
        [
            outside.select("subject_id", fault=pl.lit(NO_SESSION)),
            late.select("subject_id", fault=pl.lit(LATE)),
        ]
    ).sort("subject_id", "fault")
    if "sector" not in subjects.columns:
        return found.with_columns(sector=pl.lit(UNKNOWN))
    sectors = subjects.select("subject_id", pl.col("sector").cast(pl.String).fill_null(UNKNOWN))
    return found.join(sectors, on="subject_id", how="left", maintain_order="left")
