"""Named rules over every row of a market's source: true where the row breaks one.

A row is one cell of a bar, one split or dividend, one date of an instrument. The staging columns:
``subject`` (the instrument), ``time_text``, ``code`` and ``value_text`` as the source wrote them,
``value`` (f64) as parsed; ``session`` the date that the time names, ``time`` that session's close
(null: no session); ``known_time``, and ``naive`` where a clock time has no known zone. Of the
whole bar that a cell belongs to (null: not in the source): ``bar_open``, ``bar_high``,
``bar_low``, ``bar_close``, ``bar_volume``, ``bar_currency``; ``contradicted`` (another bar of the
same session and known time says otherwise), ``close_ratio`` (its close over that of the session
before, corrected by the declared split) and ``jump_acknowledged``. ``known_subject``, ``listed``
and ``delisted`` come from the subject table, ``needs_value``, ``low`` and ``high`` from the codes.
"""

from collections.abc import Mapping

import polars as pl

from validation.rules import (
    REASONS as CORE_REASONS,
)
from validation.rules import (
    missing_subject,
    missing_time,
    missing_value,
    subject_without_row,
    unknown_code,
    unreadable_value,
    value_not_finite,
    value_overflows_f32,
    value_physically_impossible,
)

SMALLEST_SPLIT = 2
LARGEST_SPLIT = 20
# On the day of a split the price moves as on any other day: 2 for 1 may show as .47 or as .54.
SPLIT_TOLERANCE = 0.10
PRICES = ("open", "high", "low", "close", "adjusted_close")


def naive_time() -> pl.Expr:
    """A clock time without a zone, and the study declares none."""
    return pl.col("naive")


def unreadable_time() -> pl.Expr:
    """The time is there and is none, or the time since when it was known is none."""
    return pl.col("session").is_null() | pl.col("known_time_unreadable")


def no_session() -> pl.Expr:
    """The date is no session of the exchange: a holiday, a weekend."""
    return pl.col("time").is_null()


def known_before_close() -> pl.Expr:
    """The row claims to be known before the session that it tells of had ended."""
    return pl.col("known_time") < pl.col("time")


def before_listing() -> pl.Expr:
    """The session lies before the instrument's first."""
    return pl.col("session") < pl.col("listed")


def after_delisting() -> pl.Expr:
    """The session lies after the instrument's last."""
    return pl.col("session") > pl.col("delisted")


def wrong_currency(currency: str) -> pl.Expr:
    """The bar states a currency, and it is not the study's."""
    return pl.col("bar_currency") != currency


def price_not_positive() -> pl.Expr:
    """A price of zero or less."""
    return pl.col("code").is_in(PRICES) & (pl.col("value") <= 0)


def negative_volume() -> pl.Expr:
    """Fewer than no shares changed hands."""
    return pl.col("bar_volume") < 0


def split_not_positive() -> pl.Expr:
    """A split that leaves no share of one."""
    return (pl.col("code") == "split") & (pl.col("value") <= 0)


def high_below_low() -> pl.Expr:
    """The bar's highest price is below its lowest."""
    return pl.col("bar_high") < pl.col("bar_low")


def close_outside_range() -> pl.Expr:
    """The bar's close lies outside its own low and high."""
    return _outside_range("bar_close")


def open_outside_range() -> pl.Expr:
    """The bar's open lies outside its own low and high."""
    return _outside_range("bar_open")


def contradicting_bar() -> pl.Expr:
    """Another row says otherwise of the same session, known at the same time."""
    return pl.col("contradicted")


def unadjusted_split() -> pl.Expr:
    """The close is 2 to 20 times that of the session before, or its inverse, within 10 %."""
    ratio = pl.col("close_ratio")
    factor = pl.max_horizontal(ratio, 1 / ratio)
    nearest = factor.round().clip(SMALLEST_SPLIT, LARGEST_SPLIT)
    is_split_sized = (factor / nearest - 1).abs() <= SPLIT_TOLERANCE
    return is_split_sized & ~pl.col("jump_acknowledged").fill_null(False)


def event_rules(currency: str) -> dict[str, pl.Expr]:
    """The rules of an event row in the order of judgement; the first broken one is the reason."""
    return {
        "missing_subject": missing_subject(),
        "not_in_universe": subject_without_row(),
        "missing_time": missing_time(),
        "naive_time": naive_time(),
        "unreadable_time": unreadable_time(),
        "no_session": no_session(),
        "known_before_close": known_before_close(),
        "before_listing": before_listing(),
        "after_delisting": after_delisting(),
        "unknown_code": unknown_code(),
        "missing_value": missing_value(),
        "unreadable_value": unreadable_value(),
        "value_not_finite": value_not_finite(),
        "value_overflows_f32": value_overflows_f32(),
        "wrong_currency": wrong_currency(currency),
        "price_not_positive": price_not_positive(),
        "split_not_positive": split_not_positive(),
        "negative_volume": negative_volume(),
        "high_below_low": high_below_low(),
        "close_outside_range": close_outside_range(),
        "open_outside_range": open_outside_range(),
        "contradicting_bar": contradicting_bar(),
        "unadjusted_split": unadjusted_split(),
        "value_physically_impossible": value_physically_impossible(),
    }


def subject_rules() -> dict[str, pl.Expr]:
    """The rules of an instrument; ``known_time`` is null where one of its dates is none."""
    return {
        "missing_subject": missing_subject(),
        "subject_with_two_rows": pl.col("repeated"),
        "unreadable_date": pl.col("known_time").is_null(),
        "delisted_before_listed": pl.col("delisted") < pl.col("listed"),
    }


REASONS: Mapping[str, str] = {
    **{
        name: CORE_REASONS[name]
        for name in (
            "missing_subject",
            "missing_time",
            "unreadable_time",
            "unknown_code",
            "missing_value",
            "unreadable_value",
            "value_not_finite",
            "value_overflows_f32",
            "value_physically_impossible",
            "subject_with_two_rows",
        )
    },
    "not_in_universe": "the universe holds no such instrument",
    "naive_time": "a clock time without a zone, and the study declares none",
    "no_session": "the exchange held no session on that day",
    "known_before_close": "the row claims to be known before its session closed",
    "before_listing": "the session lies before the instrument's listing",
    "after_delisting": "the session lies after the instrument's delisting",
    "wrong_currency": "the bar is in another currency than the study's",
    "price_not_positive": "a price of zero or less",
    "split_not_positive": "a split's ratio of zero or less",
    "negative_volume": "a negative volume",
    "high_below_low": "the bar's high is below its low",
    "close_outside_range": "the bar's close lies outside its low and high",
    "open_outside_range": "the bar's open lies outside its low and high",
    "contradicting_bar": "another row of the same session and known time says otherwise",
    "unadjusted_split": "the close jumps by the ratio of a split that the source does not explain",
    "unreadable_date": "a date of the instrument cannot be read",
    "delisted_before_listed": "the instrument's delisting lies before its listing",
}


def _outside_range(price: str) -> pl.Expr:
    return (pl.col(price) < pl.col("bar_low")) | (pl.col(price) > pl.col("bar_high"))
