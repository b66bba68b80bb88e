"""The market domain, as the stages see it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.events import Pseudonymise, Records
from pipelines.examples import Examples
from pipelines.market import examples, features, source, source_checks
from pipelines.market.config import PRICES, MarketConfig
from pipelines.shards import Shard

# A feature may look across names, and a universe is small.
CAN_BE_SHARDED = False
DERIVES_FEATURES = True
LIBRARIES = ("exchange-calendars",)
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
TASKS: dict[str, tuple[str, tuple[float, ...]]] = {
    "realised_volatility": ("volatility", ()),
    "return_quantiles": ("quantiles", LEVELS),
    "direction": ("direction", ()),
}
# The networks of different seeds agree within this many standard deviations, nineteen in twenty.
BAND_IN_STANDARD_DEVIATIONS = 1.96
LEAST_PUBLISHED = 1e-9
MICROSECONDS_PER_DAY = 86_400_000_000


def task(config: MarketConfig) -> tuple[str, tuple[float, ...]]:
    """What is predicted, and the quantiles' levels."""
    return TASKS[config.label.kind]


def horizon(config: MarketConfig) -> str:
    """How far a label looks, in words."""
    sessions = config.label.horizon_sessions
    return f"{sessions} session" + "s" * (sessions != 1)


def declared(config: MarketConfig) -> dict[str, str]:
    """Source, index and censoring in words."""
    source, index = config.source, config.index
    apart = index.every_sessions
    every = "each session" if apart == 1 else f"one in {apart} sessions"
    return {
        "source": f"bars of the sessions of {source.exchange}, in {source.currency}",
        "index": f"the close of {every}, once {index.minimum_history_sessions} sessions are known",
        "censoring": "while the sessions of the horizon have not all closed",
    }


def lookback_days(config: MarketConfig) -> int | None:
    """How far an example looks back."""
    return config.index.lookback_days


def block_sessions(config: MarketConfig) -> int | None:
    """The length of a block of time that the bootstrap draws as one."""
    return config.block_sessions


def is_point_in_time(config: MarketConfig) -> bool:
    """Whether the study declares its universe as that of the time, delisted names among it."""
    return config.source.universe.is_point_in_time


def fingerprint(config: MarketConfig) -> Mapping[str, str]:
    """Source file -> sha256."""
    return source.fingerprint(config)


def record_parts(
    config: MarketConfig, shard: Shard, pseudonymise: Pseudonymise, work: Path
) -> Iterator[Records]:
    """All source rows: a market is one shard, its rows are one part."""
    yield source.read_records(config)


def tables_may_hold(config: MarketConfig) -> dict[str, Any]:
    """What the tables may hold: the codes of a market, and what is said of an instrument."""
    declared = source.declared_codes(config).iter_rows(named=True)
    return {
        "codes": {
            row["code"]: {"low": row["low"], "high": row["high"], "unit": row["declared_unit"]}
            for row in declared
        },
        "subject_attributes": {
            "sector": {"type": "text", "required": False},
            "listed": {"type": "date", "required": False},
            "delisted": {"type": "date", "required": False},
            "currency": {"type": "text"},
            "known_time": {"type": "time", "required": False},
        },
        # Prices of one bar repeat each other wherever a day knew one price only.
        "acknowledged_copies": tuple(
            (one, other) for one in PRICES for other in PRICES if one != other
        ),
    }


def checks(
    config: MarketConfig, events: pl.LazyFrame, subjects: pl.DataFrame
) -> list[dict[str, Any]]:
    """Whether the universe is what the study declares."""
    return source_checks.source_checks(config, events.collect(), subjects)


def findings(
    config: MarketConfig, events: pl.LazyFrame, subjects: pl.DataFrame
) -> list[dict[str, Any]]:
    """Halts, repeated closes, survivors: odd and allowed."""
    return source_checks.source_findings(config, events.collect(), subjects)


def channel_kinds(config: MarketConfig, events: pl.DataFrame) -> dict[str, str]:
    """Feature code -> ``numeric``; range and volume only where the bars have them."""
    return dict.fromkeys(features.channels(events), "numeric")


def feature_events(
    config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame
) -> pl.DataFrame:
    """Returns and what else is computed of bars, each known as early as it could be computed."""
    return features.feature_events(config, events)


def training_examples(
    config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame
) -> Examples:
    """The bars that a study learns from, with their labels."""
    return examples.training_examples(config, events, subjects)


def followed_days(config: MarketConfig, frame: pl.DataFrame) -> npt.NDArray[np.float32]:
    """Days until the label is decided: nothing is lost on the way; NaN where it is not known."""
    ahead = (frame["label_end_time"] - frame["index_time"]).dt.total_microseconds()
    days: npt.NDArray[np.float64] = ahead.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return (days / MICROSECONDS_PER_DAY).astype(np.float32)


def labels_beside(config: MarketConfig, events: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """None: a market study has one label."""
    return pl.DataFrame()


def other_labels(
    config: MarketConfig,
    events: pl.DataFrame,
    frame: pl.DataFrame,
    fitted_on: npt.NDArray[np.bool_],
) -> pl.DataFrame | None:
    """A price is a price: there is one definition."""
    return None


def codes_of_other_labels(config: MarketConfig) -> list[str]:
    """None is looked at."""
    return []


def scoring_examples(
    config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame, as_of: datetime
) -> Examples:
    """The bars to predict from as of a moment."""
    return examples.scoring_examples(config, events, subjects, as_of)


def weights(frame: pl.DataFrame, fitted_on: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """1 where the label is known, else 0."""
    return frame["label"].is_not_null().to_numpy().astype(np.float32)


def published(config: MarketConfig, scored: pl.DataFrame) -> pl.DataFrame:
    """Scores as readers are shown them.

    Quantiles are prices, last price x exp(log return), with the outer two as the band; the band of
    a volatility or a probability is that in which networks of other seeds would answer.
    """
    if config.label.kind == "return_quantiles":
        return _prices(scored)
    low, high = (0.0, 1.0) if config.label.kind == "direction" else (LEAST_PUBLISHED, None)
    band = BAND_IN_STANDARD_DEVIATIONS * pl.col("seed_spread")
    return scored.with_columns(
        score_calibrated=pl.col("score"),
        score_low=(pl.col("score") - band).clip(low, high),
        score_high=(pl.col("score") + band).clip(low, high),
        # A price belongs to quantiles of prices: elsewhere readers are shown none.
        last_price=pl.lit(None, pl.Float64),
    )


def _prices(scored: pl.DataFrame) -> pl.DataFrame:
    numbers = [f"{round(100 * level):02d}" for level in LEVELS]
    price = {
        number: pl.col("last_price") * pl.col(f"score_q{number}").cast(pl.Float64).exp()
        for number in numbers
    }
    return scored.with_columns(
        score_calibrated=price["50"],
        score_low=price["05"],
        score_high=price["95"],
        **{f"quantile_{number}": price[number] for number in numbers},
    )


def names_are_public(config: MarketConfig) -> bool:
    """Instruments are no persons: they are published under the source's names."""
    return True
