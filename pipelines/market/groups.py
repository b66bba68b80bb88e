"""The audit's groups of an example: what it is, how large, in which times.

Size, regime, era and age are as known at the index time. Sector and listing status are what the
universe says of the instrument today: the audit sorts by them, and no model sees them.
"""

from bisect import bisect_right, insort
from itertools import pairwise

import numpy as np
import polars as pl

from pipelines.market.config import Groups, MarketConfig
from pipelines.market.features import session_means
from pipelines.market.histories import window_sums
from pipelines.market.returns import BAR, as_seen, closes, newest_in_time

UNKNOWN = "unknown"
SIZES = ("small", "middle", "large")
REGIMES = ("calm", "normal", "stressed")
SIZE_SESSIONS = 66
# A third of a short past says nothing of what is calm.
LEAST_PAST_SESSIONS = 252
# So that blocks of 4, 5, 10 and 20 years begin in 1991 and 2011 alike.
FIRST_ERA_YEAR = 1991
DAYS_PER_YEAR = 365.25


def group_names(events: pl.DataFrame) -> tuple[str, ...]:
    """The groups; no size where no volume says it."""
    size = ("size",) if (events["code"].cast(pl.String) == "volume").any() else ()
    return ("sector", *size, "volatility_regime", "era", "listing_status", "listing_age")


def with_groups(
    config: MarketConfig,
    rows: pl.DataFrame,
    events: pl.DataFrame,
    subjects: pl.DataFrame,
    sessions: pl.DataFrame,
) -> pl.DataFrame:
    """Add the columns of ``group_names`` (text) to rows of subject_id, session and index_time.

    ``rows`` hold every bar known in time with ewma_volatility: size and regime compare them.
    """
    said = subjects.select(
        "subject_id", *[_attribute(subjects, name) for name in ("sector", "listed", "delisted")]
    )
    gone = _fell_silent(config, events, sessions)
    grouped = (
        rows.join(said, on="subject_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("sector").cast(pl.String).fill_null(UNKNOWN),
            volatility_regime=_regimes(rows),
            era=_era(config.groups),
            listing_status=pl.when(
                pl.col("delisted").is_not_null() | pl.col("subject_id").is_in(gone.implode())
            )
            .then(pl.lit("delisted"))
            .otherwise(pl.lit("listed")),
            listing_age=_age(config.groups),
        )
        .drop("listed", "delisted")
    )
    if "size" in group_names(events):
        grouped = grouped.join(
            _sizes(events, sessions), on=BAR, how="left", maintain_order="left"
        ).with_columns(pl.col("size").fill_null(UNKNOWN))
    return grouped


def day_of(column: pl.Expr) -> pl.Expr:
    """A date or a moment as a UTC day."""
    return column.cast(pl.Date)


def _attribute(subjects: pl.DataFrame, name: str) -> pl.Expr:
    if name in subjects.columns:
        return pl.col(name)
    return pl.lit(None, pl.String if name == "sector" else pl.Date).alias(name)


def _fell_silent(config: MarketConfig, events: pl.DataFrame, sessions: pl.DataFrame) -> pl.Series:
    """Instruments without a bar in the last sessions of the data: delisted, whatever is said."""
    last = closes(events, sessions).group_by("subject_id").agg(pl.col("session").max())
    silent = pl.col("session").max() - pl.col("session") >= config.plausible.missing_sessions
    return last.filter(silent)["subject_id"]


def _era(groups: Groups) -> pl.Expr:
    """Calendar blocks, as 2011-2014."""
    year = pl.col("index_time").dt.year().cast(pl.Int64)
    first = year - (year - FIRST_ERA_YEAR) % groups.era_years
    if groups.era_years == 1:
        return first.cast(pl.String)
    return pl.format("{}-{}", first, first + groups.era_years - 1)


def _age(groups: Groups) -> pl.Expr:
    """Years since the listing, in bands whose upper bounds the study names."""
    days = (day_of(pl.col("index_time")) - day_of(pl.col("listed"))).dt.total_days()
    bounds = sorted(groups.listing_age_years)
    words = [f"{low:g} to {high:g} years" for low, high in pairwise(bounds)]
    names = [f"under {bounds[0]:g} years", *words, f"over {bounds[-1]:g} years"]
    band = pl.sum_horizontal((days >= bound * DAYS_PER_YEAR).cast(pl.Int64) for bound in bounds)
    named = band.replace_strict(dict(enumerate(names)), return_dtype=pl.String)
    return pl.when(days.is_not_null()).then(named).otherwise(pl.lit(UNKNOWN))


def _regimes(rows: pl.DataFrame) -> pl.Series:
    """Where the market's volatility of a session lies among all its own until then."""
    market = (
        rows.select(
            "session",
            level=session_means(
                rows.with_columns(pl.col("ewma_volatility").log()), "ewma_volatility"
            ),
        )
        .unique("session")
        .drop_nulls()
        .sort("session")
    )
    past: list[float] = []
    names = []
    for level in market["level"].to_list():
        insort(past, level)
        share = bisect_right(past, level) / len(past)
        names.append(
            UNKNOWN if len(past) < LEAST_PAST_SESSIONS else REGIMES[int(np.ceil(3 * share)) - 1]
        )
    named = market.select("session", regime=pl.Series(names, dtype=pl.String))
    return rows.join(named, on="session", how="left", maintain_order="left")["regime"].fill_null(
        UNKNOWN
    )


def _sizes(events: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """subject_id, session, size: tercile of the mean value traded among the session's instruments.

    The mean is over the bars there were in the last 66 sessions, from the 66th session on.
    """
    price = newest_in_time(closes(events, sessions), sessions).select(*BAR, price="value")
    traded = as_seen(events, sessions, "volume").join(price, on=BAR)
    dense = (
        traded.group_by("subject_id")
        .agg(first=pl.col("session").min(), last=pl.col("session").max())
        .select("subject_id", session=pl.int_ranges("first", pl.col("last") + 1))
        .explode("session")
        .join(traded, on=BAR, how="left")
        .sort(BAR)
        .with_columns(
            traded=pl.col("value") * pl.col("price"),
            place=pl.int_range(pl.len()).over("subject_id"),
        )
    )
    place = dense["place"].to_numpy()
    there = dense["traded"].is_not_null().cast(pl.Float64).to_numpy()
    sums = window_sums(dense["traded"].fill_null(0.0).to_numpy(), place, SIZE_SESSIONS)
    with np.errstate(invalid="ignore"):
        mean = sums / window_sums(there, place, SIZE_SESSIONS)
    ranked = (
        dense.with_columns(mean=pl.Series(mean))
        .filter(pl.col("traded").is_not_null() & pl.col("mean").is_finite())
        .with_columns(share=(pl.col("mean").rank() / pl.len()).over("session"))
    )
    tercile = (3 * pl.col("share")).ceil().cast(pl.Int64) - 1
    return ranked.select(
        *BAR, size=tercile.replace_strict(dict(enumerate(SIZES)), return_dtype=pl.String)
    )
