"""Which bars a study learns from, and which it predicts from as of a moment."""

from datetime import datetime, timedelta

import polars as pl

from pipelines.errors import SourceInvalid
from pipelines.examples import Examples, FlowCount, exclude
from pipelines.market.config import MarketConfig
from pipelines.market.features import LEAST_VOLATILITY, SESSIONS_PER_YEAR, STATICS, static_columns
from pipelines.market.groups import group_names, with_groups
from pipelines.market.histories import histories
from pipelines.market.labels import with_labels
from pipelines.market.membership import is_dated, is_member
from pipelines.market.returns import BAR, closes, newest_in_time, returns, trading_sessions
from pipelines.market.unusable import FAULTS, unusable_bars

# With fewer misses the models leave quantiles as they are: see models/conformal.py.
LEAST_HISTORY_ROWS = 200


def training_examples(
    config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame
) -> Examples:
    """Every bar known in time with enough sessions before it; its label may be unknown yet.

    Raises:
        SourceInvalid: there are bars, and all came later than the study says.
    """
    bars = _bars(config, events, subjects)
    if bars.is_empty() and not closes(events, trading_sessions(config)).is_empty():
        raise _all_late(config)
    groups, flow = group_names(events), list[FlowCount]()
    bars = _without_unusable(bars, unusable_bars(config, events, subjects), flow, groups)
    every = config.index.every_sessions
    if every > 1:
        bars = exclude(
            bars,
            flow,
            groups,
            pl.col("index_session") % every != 0,
            "grid",
            f"not of every {every}th session",
        )
    frame = _with_history(config, _members(config, bars, flow, groups), flow, groups)
    outcome = pl.when(pl.col("label").is_null()).then(pl.lit("unknown")).otherwise(pl.lit("known"))
    return Examples(frame.with_columns(outcome=outcome), STATICS, groups, flow)


def scoring_examples(
    config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame, as_of: datetime
) -> Examples:
    """The last bar of every instrument still traded, by what was known as of a moment.

    For quantiles also (``is_current`` false) the bars of the ``conformal_days`` before these,
    whose labels were known by then: of them the correction of the intervals is computed anew, so
    that a backfill repeats it, and a later moment with the same last bars does too.

    Raises:
        SourceInvalid: no instrument has a bar that is new enough, or the labels known are too few
            to correct quantiles.
    """
    known = events.filter(pl.col("known_time") <= as_of)
    bars = _bars(config, known, subjects).filter(pl.col("index_time") <= as_of)
    groups, flow = group_names(known), list[FlowCount]()
    last = _last_bars(bars, unusable_bars(config, known, subjects), flow, groups)
    gone = known.filter(pl.col("code").cast(pl.String) == "delisted")["subject_id"]
    is_gone = pl.col("subject_id").is_in(gone.implode())
    last = exclude(last, flow, groups, is_gone, "delisted", "delisted")
    last = _members(config, _fresh(config, last, bars, as_of, flow, groups), flow, groups)
    frame = _with_history(config, last, flow, groups).with_columns(is_current=pl.lit(value=True))
    if frame.is_empty():
        raise _nobody(config, as_of)
    if config.label.kind == "return_quantiles":
        frame = pl.concat([frame, _history(config, bars, frame["index_time"], groups)])
    return Examples(frame.sort("subject_id", "index_time"), STATICS, groups, flow)


def _last_bars(
    bars: pl.DataFrame, unusable: pl.DataFrame, flow: list[FlowCount], groups: tuple[str, ...]
) -> pl.DataFrame:
    """The last bar of each instrument, once those are counted that never had one in time."""
    last = bars.filter(pl.col("index_session") == pl.col("index_session").max().over("subject_id"))
    never = unusable.join(last, on="subject_id", how="anti").drop("fault").unique("subject_id")
    return exclude(
        pl.concat([last, never], how="diagonal"),
        flow,
        groups,
        pl.col("index_session").is_null(),
        "late",
        "no bar of it was known in time for its session",
    )


def _without_unusable(
    bars: pl.DataFrame, unusable: pl.DataFrame, flow: list[FlowCount], groups: tuple[str, ...]
) -> pl.DataFrame:
    """The bars, once those that cannot be examples are counted."""
    rows = pl.concat([bars, unusable], how="diagonal")
    for fault, words in FAULTS.items():
        rows = exclude(rows, flow, groups, pl.col("fault") == fault, fault, words)
    return rows.select(bars.columns)


def _fresh(
    config: MarketConfig,
    last: pl.DataFrame,
    bars: pl.DataFrame,
    as_of: datetime,
    flow: list[FlowCount],
    groups: tuple[str, ...],
) -> pl.DataFrame:
    """The instruments whose last bar is of the last session that was over, or nearly so."""
    oldest = config.index.maximum_age_sessions
    if oldest is None:
        newest, words = bars["index_session"].max(), "the newest bar of the source"
    else:
        over = trading_sessions(config).filter(pl.col("deadline") <= as_of)
        newest = over["session"].max()
        words = f"{oldest:,} sessions before the last one that was over"
    is_stale = pl.lit(newest) - pl.col("index_session") > (oldest or 0)
    return exclude(
        last, flow, groups, is_stale, "stale", f"stale: its last bar is older than {words}"
    )


def _members(
    config: MarketConfig, bars: pl.DataFrame, flow: list[FlowCount], groups: tuple[str, ...]
) -> pl.DataFrame:
    if not is_dated(config):
        return bars
    words = "outside the spells in which it was known to belong to the universe"
    return exclude(bars, flow, groups, ~pl.col("is_member"), "membership", words)


def _history(
    config: MarketConfig, bars: pl.DataFrame, current: pl.Series, groups: tuple[str, ...]
) -> pl.DataFrame:
    """The bars of the ``conformal_days`` before the current index times, their labels known then.

    It depends on the index times alone, not on when it is asked for.
    """
    days = timedelta(days=config.conformal_days)
    past = bars.filter(
        "is_member",
        pl.col("index_time") > pl.lit(current.min()) - days,
        pl.col("label_end_time") <= pl.lit(current.max()),
    )
    history = _with_history(config, past, [], groups)
    known = history["label"].count()
    if known < LEAST_HISTORY_ROWS:
        raise SourceInvalid(
            f"The quantiles cannot be corrected: of the {config.conformal_days:,} days before, "
            f"{known:,} labels are known, and {LEAST_HISTORY_ROWS:,} are the least.",
            where="market.conformal_days",
            remedy="Give more conformal_days, or a longer history of more instruments.",
        )
    return history.with_columns(is_current=pl.lit(value=False))


def _bars(config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame) -> pl.DataFrame:
    """Every bar known by its session's deadline, which is its index time, with all columns.

    ``sessions_so_far`` counts the instrument's bars until then, those that came late too.
    """
    sessions = trading_sessions(config)
    prices, stated = closes(events, sessions), returns(config, events, sessions)
    bars = newest_in_time(prices, sessions).select(*BAR, index_time="deadline", last_price="value")
    features = static_columns(histories(stated, bars, sessions), bars)
    rows = bars.join(features, on=BAR, maintain_order="left")
    rows = rows.hstack([_sessions_so_far(rows, prices), is_member(config, events, rows)])
    rows = with_groups(config, rows, events, subjects, sessions)
    return with_labels(rows, stated, sessions, config.label).select(
        pl.exclude("session", "ewma_volatility"),
        index_session="session",
        cluster=pl.col("session") // config.block_sessions,
        scale=_scale(config),
    )


def _nobody(config: MarketConfig, as_of: datetime) -> SourceInvalid:
    return SourceInvalid(
        f"As of {as_of:%Y-%m-%d %H:%M} UTC no instrument can be predicted: none has a bar that is "
        "new enough and enough sessions before it.",
        where="market.index.maximum_age_sessions",
        remedy="Fetch the newest bars. For a history that has ended say "
        "`maximum_age_sessions: null`; for a source that comes late, how many sessions old a last "
        "bar may be.",
    )


def _all_late(config: MarketConfig) -> SourceInvalid:
    return SourceInvalid(
        "No bar was known when its session's example is made, "
        f"{config.source.known_delay_minutes} minutes after the close: there is no example.",
        where="market.source.known_delay_minutes",
        remedy="State the delay with which this source is known.",
    )


def _sessions_so_far(rows: pl.DataFrame, prices: pl.DataFrame) -> pl.Series:
    """How many sessions of its instrument had a close known by each row's index time."""
    # A session counts from when it was first known, whichever session that was.
    first = (
        prices.group_by(BAR)
        .agg(pl.col("known_time").min())
        .sort("subject_id", "known_time")
        .select(
            "subject_id",
            "known_time",
            sessions_so_far=pl.int_range(1, pl.len() + 1).over("subject_id"),
        )
    )
    asked = rows.select("subject_id", known_time="index_time").with_row_index("place")
    return (
        asked.sort("known_time")
        .join_asof(
            first.sort("known_time", "sessions_so_far"),
            on="known_time",
            by="subject_id",
            check_sortedness=False,
        )
        .sort("place")["sessions_so_far"]
    )


def _with_history(
    config: MarketConfig, bars: pl.DataFrame, flow: list[FlowCount], groups: tuple[str, ...]
) -> pl.DataFrame:
    least = config.index.minimum_history_sessions
    kept = exclude(
        bars,
        flow,
        groups,
        (pl.col("sessions_so_far") < least) | pl.col("scale").is_null(),
        "history",
        f"fewer than {least} sessions known",
    )
    return kept.drop("sessions_so_far", "is_member")


def _scale(config: MarketConfig) -> pl.Expr:
    """What a naive observer would take as the label's unit (f32 > 0)."""
    annual = pl.col("ewma_volatility").clip(LEAST_VOLATILITY)
    years = config.label.horizon_sessions / SESSIONS_PER_YEAR
    scales: dict[str, pl.Expr] = {
        "realised_volatility": annual,
        "return_quantiles": annual * years**0.5,
        "direction": pl.lit(1.0),
    }
    return scales[config.label.kind].cast(pl.Float32)
