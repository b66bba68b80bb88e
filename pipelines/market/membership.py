"""Dated membership of a universe: inside which of its spells an instrument was known to be."""

import polars as pl

from pipelines.market.config import MarketConfig

JOINED, LEFT = "joined_universe", "left_universe"


def is_dated(config: MarketConfig) -> bool:
    """Whether the universe says since when, or until when, an instrument belongs to it."""
    table = config.source.universe.table
    return table is not None and (table.member_from, table.member_until) != (None, None)


def is_member(config: MarketConfig, events: pl.DataFrame, rows: pl.DataFrame) -> pl.Series:
    """Of each row of subject_id and index_time: whether it lies in a spell, as known by then.

    A spell begins with the close of its first session and ends with that of its last, each no
    sooner than it was known. Where the universe dates joining, who never joined is no member;
    where it dates leaving alone, everybody is one until then.
    """
    if not is_dated(config):
        return pl.repeat(value=True, n=rows.height, eager=True).alias("is_member")
    asked = rows.select("subject_id", known_time="index_time").with_row_index("place")
    known = asked.sort("known_time").join_asof(
        _spells_as_known(events), on="known_time", by="subject_id", check_sortedness=False
    )
    joined = pl.col(JOINED).is_not_null()
    table = config.source.universe.table
    if table is not None and table.member_from is None:
        joined = pl.lit(value=True)
    # A spell that begins with the session that ends another goes on; one of a single session ends.
    is_inside = (
        pl.col(LEFT).is_null()
        | (pl.col(JOINED) > pl.col(LEFT))
        | ((pl.col(JOINED) == pl.col(LEFT)) & (pl.col("times_joined") > pl.col("times_left")))
    ).fill_null(value=False)
    return known.sort("place").select(is_member=joined & is_inside)["is_member"]


def _spells_as_known(events: pl.DataFrame) -> pl.DataFrame:
    """At each moment at which a date became known: the latest joining and leaving known by then.

    Returns:
        subject_id, known_time, the times of the two and how often each happened, in order of time.
    """
    dates = (
        events.select("subject_id", "time", "known_time", code=pl.col("code").cast(pl.String))
        .filter(pl.col("code").is_in([JOINED, LEFT]))
        .group_by("subject_id", "code", "time")
        .agg(pl.col("known_time").min())
        # What is foretold has not happened yet.
        .with_columns(known_time=pl.max_horizontal("known_time", "time"))
        .sort("known_time")
    )
    joined, left = (pl.col("code") == code for code in (JOINED, LEFT))
    return (
        dates.select(
            "subject_id",
            "known_time",
            pl.when(joined).then("time").cum_max().over("subject_id").alias(JOINED),
            pl.when(left).then("time").cum_max().over("subject_id").alias(LEFT),
            times_joined=joined.cum_sum().over("subject_id"),
            times_left=left.cum_sum().over("subject_id"),
        )
        .with_columns(
            pl.col(JOINED, LEFT).forward_fill().over("subject_id"),
        )
        .unique(["subject_id", "known_time"], keep="last", maintain_order=True)
    )
