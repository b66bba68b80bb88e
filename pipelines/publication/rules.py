"""What every published row must keep to, by task: the tables' CHECKs said as expressions.

They are asked first, so that a refusal names the rule and the number of rows; the tables refuse
the same by themselves.
"""

from collections.abc import Iterable
from datetime import date
from itertools import pairwise

import polars as pl

from pipelines.publication.schema import QUANTILE_COLUMNS, REASON_RANKS

TASKS = ("risk", "direction", "volatility", "quantiles")
DECIDED_TASKS = ("risk", "direction")
ONLY_QUANTILES = (*QUANTILE_COLUMNS, "last_price")
# What names an instrument: a patient has none of it.
NAMES = ("instrument", "instrument_group")
SPLITS = ("train", "validation", "test", "none")
# The widest number a table takes: a NaN and the infinities are beyond it.
WIDEST = 1e300

Rules = dict[str, pl.Expr]


def row_rules(columns: Iterable[str], *, as_of_day: date, has_threshold: bool) -> Rules:
    """Rule in words -> a boolean per row; a null says that the row breaks it.

    Args:
        columns: all that a row holds; those of ``ONLY_QUANTILES`` and ``NAMES`` may be null.
        as_of_day: the day (UTC) that the generation is as of.
        has_threshold: whether the release decides at a threshold.
    """
    required = (name for name in columns if name not in (*ONLY_QUANTILES, *NAMES))
    known = {f"{name} is known": pl.col(name).is_not_null() for name in required}
    of_task = _names() | _score() | _decision(has_threshold) | _quantiles()
    return known | _row(as_of_day) | of_task | _reasons()


def _row(as_of_day: date) -> Rules:
    return {
        "task is one of " + ", ".join(TASKS): pl.col("task").is_in(TASKS),
        "one task per generation": pl.col("task") == pl.col("task").first(),
        "share_missing is within 0 and 1": pl.col("share_missing").is_between(0, 1),
        "sequence_length is not negative": pl.col("sequence_length") >= 0,
        "split is one of " + ", ".join(SPLITS): pl.col("split").is_in(SPLITS),
        "index_time is not after the day of as_of": pl.col("index_time").dt.date() <= as_of_day,
        "one row per subject": pl.col("subject_id").is_first_distinct(),
    }


def _names() -> Rules:
    """No name of a patient gets in; an instrument and its group are always named."""
    is_risk = pl.col("task") == "risk"
    rules: Rules = {}
    for name in NAMES:
        column = pl.col(name)
        is_said = column.is_not_null() & (column != "")
        rules |= {
            f"{name} is null for risk": ~is_risk | column.is_null(),
            f"{name} is known and not empty for every task but risk": is_risk | is_said,
        }
    return rules


def _score() -> Rules:
    """Probabilities for the tasks that are decided, else a volatility or a price: above 0."""
    decided = pl.col("task").is_in(DECIDED_TASKS)
    rules = {"score is a finite number": _is_finite("score")}
    for name in ("score_calibrated", "score_low", "score_high"):
        column = pl.col(name)
        rules |= {
            f"{name} is a finite number": _is_finite(name),
            f"{name} is within 0 and 1 for {' and '.join(DECIDED_TASKS)}": ~decided
            | column.is_between(0, 1),
            f"{name} is above 0 for volatility and quantiles": decided | (column > 0),
        }
    return rules | {
        "score_low is not above score_high": pl.col("score_low") <= pl.col("score_high")
    }


def _decision(has_threshold: bool) -> Rules:
    decided = pl.col("task").is_in(DECIDED_TASKS)
    return {
        "the release has a threshold for risk and direction": ~decided | pl.lit(has_threshold),
        "the release has no threshold for volatility and quantiles": decided
        | pl.lit(not has_threshold),
    }


def _quantiles() -> Rules:
    """The quantiles and the last price belong to their task: all there, or none."""
    of_task = pl.col("task") == "quantiles"
    rules: Rules = {}
    for name in ONLY_QUANTILES:
        column = pl.col(name)
        rules |= {
            f"{name} is known for quantiles": ~of_task | column.is_not_null(),
            f"{name} is null for every other task": of_task | column.is_null(),
            f"{name} is a finite number": ~of_task | _is_finite(name),
        }
    for low, high in pairwise(QUANTILE_COLUMNS):
        rules[f"{low} is not above {high}"] = ~of_task | (pl.col(low) <= pl.col(high))
    return rules | {"last_price is above 0": ~of_task | (pl.col("last_price") > 0)}


def _reasons() -> Rules:
    """Reasons are whole and in order, or there are none; each has a channel and a contribution."""
    method = pl.col("reason_method")
    rules: Rules = {
        "reason_method is named where there is a reason, and only there": (
            method.is_not_null() == pl.col("reason_1_channel").is_not_null()
        )
        & (method.fill_null("none") != "")
    }
    before = pl.lit(value=True)
    for rank in REASON_RANKS:
        channel, days, size = (
            pl.col(f"reason_{rank}_{what}") for what in ("channel", "days_before", "contribution")
        )
        given = channel.is_not_null()
        rules |= {
            f"reason {rank} has a channel and a contribution, or neither": (
                (given == size.is_not_null())
                & (channel.fill_null("none") != "")
                & (given | days.is_null())
            ),
            f"reason {rank} follows the one before": ~given | before,
            f"reason {rank} has finite numbers": (
                size.fill_null(0.0).is_between(-WIDEST, WIDEST)
                & days.fill_null(0.0).is_between(0.0, WIDEST)
            ),
        }
        before = given
    return rules


def _is_finite(name: str) -> pl.Expr:
    return pl.col(name).is_between(-WIDEST, WIDEST)
