"""Named rules over every row of a source, as Polars expressions: true where the row breaks one.

The staging columns: ``subject``, ``time_text``, ``code`` and ``value_text`` as the source wrote
them, ``time`` and ``value`` (f64) as parsed, ``needs_value`` (the code is a measurement),
``known_subject`` and ``birth`` from the subject table, ``low`` and ``high`` the code's plausible
range (null: none declared).
"""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import polars as pl

LARGEST_F32 = float(np.finfo(np.float32).max)


def missing_subject() -> pl.Expr:
    """The row names no subject."""
    return pl.col("subject").is_null() | (pl.col("subject").str.strip_chars() == "")


def subject_without_row() -> pl.Expr:
    """The subject has events and no row in the subject table."""
    return ~pl.col("known_subject")


def missing_time() -> pl.Expr:
    """The row says no time."""
    return pl.col("time_text").is_null()


def unreadable_time() -> pl.Expr:
    """The time is there and is not one."""
    return pl.col("time").is_null()


def time_out_of_range(earliest: datetime, latest: datetime) -> pl.Expr:
    """The time lies outside what the study declares possible."""
    return ~pl.col("time").is_between(earliest, latest)


def before_birth() -> pl.Expr:
    """The event lies more than a year before the subject's birth, which is known to the year."""
    return pl.col("time").dt.date() < pl.col("birth").dt.offset_by("-1y")


def unknown_code() -> pl.Expr:
    """The code is missing, or the study does not declare it."""
    return pl.col("needs_value").is_null()


def missing_value() -> pl.Expr:
    """A measurement without a value."""
    return pl.col("needs_value") & pl.col("value_text").is_null()


def unreadable_value() -> pl.Expr:
    """The value is there and is no number."""
    return pl.col("value_text").is_not_null() & pl.col("value").is_null()


def value_not_finite() -> pl.Expr:
    """The value is NaN or infinite. (NaN would pass a range check: in Polars it exceeds all.)"""
    return ~pl.col("value").is_finite()


def value_overflows_f32() -> pl.Expr:
    """The value is finite and becomes infinite in the event table's 32 bits."""
    return pl.col("value").abs() > LARGEST_F32


def value_physically_impossible() -> pl.Expr:
    """The value lies outside the code's plausible range."""
    return (pl.col("value") < pl.col("low")) | (pl.col("value") > pl.col("high"))


def event_rules(earliest: datetime, latest: datetime) -> dict[str, pl.Expr]:
    """The rules of an event row in the order of judgement; the first broken one is the reason."""
    return {
        "missing_subject": missing_subject(),
        "subject_without_row": subject_without_row(),
        "missing_time": missing_time(),
        "unreadable_time": unreadable_time(),
        "time_out_of_range": time_out_of_range(earliest, latest),
        "before_birth": before_birth(),
        "unknown_code": unknown_code(),
        "missing_value": missing_value(),
        "unreadable_value": unreadable_value(),
        "value_not_finite": value_not_finite(),
        "value_overflows_f32": value_overflows_f32(),
        "value_physically_impossible": value_physically_impossible(),
    }


def subject_rules() -> dict[str, pl.Expr]:
    """The rules of a subject row; ``repeated`` marks a second row of the same subject."""
    return {
        "missing_subject": missing_subject(),
        "subject_with_two_rows": pl.col("repeated"),
        "unreadable_birth": pl.col("birth").is_null(),
        "unknown_sex": pl.col("sex").is_null(),
    }


REASONS: Mapping[str, str] = {
    "missing_subject": "the row names no subject",
    "subject_without_row": "the subject has no row in the subject table",
    "missing_time": "the row says no time",
    "unreadable_time": "the time cannot be read",
    "time_out_of_range": "the time lies outside the declared range",
    "before_birth": "the event lies before the subject's birth",
    "unknown_code": "the study does not declare the code",
    "missing_value": "a measurement without a value",
    "unreadable_value": "the value is no number",
    "value_not_finite": "the value is NaN or infinite",
    "value_overflows_f32": "the value does not fit 32 bits",
    "value_physically_impossible": "the value is physically impossible",
    "subject_with_two_rows": "the subject has another row that says otherwise",
    "unreadable_birth": "the age or birth cannot be read",
    "unknown_sex": "the entry for sex is not declared",
}


def first_broken_rule(rules: Mapping[str, pl.Expr]) -> pl.Expr:
    """The name of the first rule that a row breaks, null where it breaks none."""
    return pl.coalesce(
        pl.when(broken.fill_null(False)).then(pl.lit(name)) for name, broken in rules.items()
    )
