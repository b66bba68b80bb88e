"""Which bars a study learns from, and which it predicts from as of a moment."""

from datetime import datetime, timedelta

import polars as pl

from pipelines.errors import SourceInvalid
from pipelines.examples import Examples, FlowCount, exclude
from pipelines.market.config import MarketConfig
from pipelines.market.features import LEAST_VOLATILITY, SESSIONS_PER_YEAR, STATICS, static_columns
from pipelines.market.groups import day_of, group_names, with_groups
from pipelines.market.histories import histories
from pipelines.market.labels import with_labels
from pipelines.market.returns import BAR, closes, newest_in_time, returns, trading_sessions


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
    frame = _with_history(config, bars, flow, groups)
    outcome = pl.when(pl.col("label").is_null()).then(pl.lit("unknown")).otherwise(pl.lit("known"))
    return Examples(frame.with_columns(outcome=outcome), STATICS, groups, flow)


def scoring_examples(
    config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame, as_of: datetime
) -> Examples:
    """The last bar of every instrument still traded, by what was known as of a moment.

    For quantiles also (``is_current`` false) the bars of the last ``conformal_days`` whose labels
    were known by then: of them the correction of the intervals is computed anew, so that a
    backfill repeats it.
    """
    known = events.filter(pl.col("known_time") <= as_of)
    bars = _bars(config, known, subjects).filter(pl.col("index_time") <= as_of)
    groups, flow = group_names(known), list[FlowCount]()
    last = bars.filter(pl.col("index_session") == pl.col("index_session").max().over("subject_id"))
    last = exclude(
        last,
        flow,
        groups,
        pl.col("index_session").max() - pl.col("index_session")
        >= config.plausible.missing_sessions,
        "silent",
        f"no bar in the last {config.plausible.missing_sessions} sessions",
    )
    last = exclude(
        last.join(_delisted(subjects), on="subject_id", how="left", maintain_order="left"),
        flow,
        groups,
        pl.col("delisted") <= as_of.date(),
        "delisted",
        "delisted",
    ).drop("delisted")
    frame = _with_history(config, last, flow, groups).with_columns(is_current=pl.lit(value=True))
    if config.label.kind == "return_quantiles":
        past = (pl.col("index_time") > as_of - timedelta(days=config.conformal_days)) & (
            pl.col("label_end_time") <= as_of
        )
        history = _with_history(config, bars.filter(past), [], groups)
        frame = pl.concat([frame, history.with_columns(is_current=pl.lit(value=False))])
    return Examples(frame.sort("subject_id", "index_time"), STATICS, groups, flow)


def _bars(config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame) -> pl.DataFrame:
    """Every bar known by its session's deadline, which is its index time, with all columns.

    ``sessions_so_far`` counts the instrument's bars until then, those that came late too.
    """
    sessions = trading_sessions(config)
    prices, stated = closes(events, sessions), returns(config, events, sessions)
    bars = newest_in_time(prices, sessions).select(*BAR, index_time="deadline", last_price="value")
    features = static_columns(histories(stated, bars, sessions), bars)
    rows = bars.join(features, on=BAR, maintain_order="left")
    rows = rows.hstack([_sessions_so_far(rows, prices)])
    rows = with_groups(config, rows, events, subjects, sessions)
    return with_labels(rows, stated, sessions, config.label).select(
        pl.exclude("session", "ewma_volatility"),
        index_session="session",
        cluster=pl.col("session") // config.block_sessions,
        scale=_scale(config),
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
    return kept.drop("sessions_so_far")


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


def _delisted(subjects: pl.DataFrame) -> pl.DataFrame:
    """subject_id and the day of its delisting, where the universe says one."""
    if "delisted" not in subjects.columns:
        return subjects.select("subject_id", delisted=pl.lit(None, pl.Date))
    return subjects.select("subject_id", delisted=day_of(pl.col("delisted")))
