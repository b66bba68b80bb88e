"""The suites: what each table promises, as expectations with their words for people."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, time, timedelta
from typing import Final

import numpy as np

from validation.contract import CodeContract, TableContract
from validation.judging import Demand, gxe, where
from validation.tables import (
    COPY_TYPES,
    COUNT,
    EVENT_TYPES,
    INTEGER,
    NUMBER,
    QUARANTINE_TYPES,
    TEXT,
    subject_types,
)


def events_suite(contract: TableContract) -> list[Demand]:
    """What the event table promises."""
    key = ("subject_id", "time", "known_time", "code")
    return [
        *_columns(EVENT_TYPES),
        _row_count(contract.minimum_events, contract.maximum_events, "events"),
        *(_never_null(column) for column in key),
        _always_true("has_subject", "every event's subject has a row in the subject table"),
        _codes_are_declared(contract),
        _time_in_range(contract),
        _known_after_it_happened(),
        _always_true("value_is_finite", "no value is NaN or infinite"),
        *_values(contract),
        _no_duplicates(),
    ]


def subjects_suite(contract: TableContract) -> list[Demand]:
    """What the subject table promises."""
    attributes = contract.subject_attributes.items()
    return [
        *_columns(subject_types(contract)),
        _row_count(contract.minimum_subjects, None, "subjects"),
        _never_null("subject_id"),
        Demand(
            gxe.ExpectColumnValuesToBeUnique(column="subject_id"),
            "a subject has one row",
            column="subject_id",
        ),
        *(_never_null(name) for name, attribute in attributes if attribute.required),
        *(
            _one_of(name, attribute.allowed)
            for name, attribute in attributes
            if attribute.allowed is not None
        ),
    ]


def quarantine_suite(contract: TableContract) -> list[Demand]:
    """What became of every source row: all are accounted for, few are quarantined."""
    share = contract.max_quarantined_share
    return [
        *_columns(QUARANTINE_TYPES),
        _row_count(1, None, "source files"),
        _never_null("file"),
        Demand(
            gxe.ExpectColumnValuesToBeInSet(column="unaccounted_rows", value_set=[0]),
            "rows in = accepted + quarantined + duplicates + empty, in every file",
            column="rows_in",
        ),
        Demand(
            gxe.ExpectColumnValuesToBeBetween(
                column="quarantined_share", min_value=0.0, max_value=share
            ),
            f"at most {share:.2%} of a file's rows are quarantined",
            column="quarantined",
        ),
    ]


def copies_suite(contract: TableContract) -> list[Demand]:
    """No channel copies another unless the study says that it knows."""
    words = "a channel that copies another is acknowledged in the study"
    return [
        *_columns(COPY_TYPES),
        _always_true("acknowledged", words),
    ]


SUITES: Final[Mapping[str, Callable[[TableContract], list[Demand]]]] = {
    "events": events_suite,
    "subjects": subjects_suite,
    "quarantine": quarantine_suite,
    "copies": copies_suite,
}


def _columns(declared: Mapping[str, frozenset[str]]) -> Iterator[Demand]:
    for column, types in declared.items():
        yield Demand(
            gxe.ExpectColumnToExist(column=column), "the column exists", column, part="types"
        )
        yield Demand(
            gxe.ExpectColumnValuesToBeInSet(column=column, value_set=sorted(types)),
            f"its type is {_type_words(types)}",
            column,
            part="types",
        )


def _type_words(types: frozenset[str]) -> str:
    families = {TEXT: "text", INTEGER: "an integer", COUNT: "an integer", NUMBER: "a number"}
    return families.get(types, " or ".join(sorted(types)))


def _row_count(minimum: int, maximum: int | None, noun: str) -> Demand:
    expectation = gxe.ExpectTableRowCountToBeBetween(min_value=minimum, max_value=maximum)
    upper = "" if maximum is None else f" and at most {maximum:,}"
    words = f"at least {minimum:,}{upper} {noun}"
    return Demand(expectation, words, rows_between=(minimum, maximum))


def _never_null(column: str) -> Demand:
    return Demand(gxe.ExpectColumnValuesToNotBeNull(column=column), "never null", column)


def _always_true(column: str, declared: str) -> Demand:
    expectation = gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[True])
    return Demand(expectation, declared, column)


def _one_of(column: str, allowed: tuple[str, ...] | None) -> Demand:
    expectation = gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(allowed or ()))
    return Demand(expectation, f"one of {', '.join(allowed or ())}", column)


def _codes_are_declared(contract: TableContract) -> Demand:
    expectation = gxe.ExpectColumnValuesToBeBetween(
        column="code_number", min_value=0, max_value=len(contract.codes) - 1
    )
    return Demand(expectation, f"one of the {len(contract.codes)} declared codes", "code")


def _time_in_range(contract: TableContract) -> Demand:
    first = datetime.combine(contract.earliest, time())
    after_last = datetime.combine(contract.latest, time()) + timedelta(days=1)
    expectation = gxe.ExpectColumnValuesToBeBetween(
        column="time", min_value=first, max_value=after_last, strict_max=True
    )
    return Demand(expectation, f"from {contract.earliest} to {contract.latest}", "time")


def _known_after_it_happened() -> Demand:
    expectation = gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A="known_time", column_B="time", or_equal=True
    )
    return Demand(expectation, "known no earlier than it happened", "known_time")


def _values(contract: TableContract) -> Iterator[Demand]:
    for number, (code, declared) in enumerate(contract.codes.items()):
        if declared.is_numeric:
            yield from _values_of(number, code, declared)


def _values_of(number: int, code: str, declared: CodeContract) -> Iterator[Demand]:
    of_code = where("code_number", equals=number)
    # A value on the bound was accepted as float64 and rounded to float32: round the bound alike.
    between = gxe.ExpectColumnValuesToBeBetween(
        column="numeric_value",
        min_value=float(np.float32(declared.low)),
        max_value=float(np.float32(declared.high)),
        row_condition=of_code,
    )
    present = gxe.ExpectColumnValuesToNotBeNull(column="numeric_value", row_condition=of_code)
    unit = f" {declared.unit}" if declared.unit else ""
    words = f"from {declared.low:g} to {declared.high:g}{unit}"
    yield Demand(present, "has a value", "numeric_value", code)
    yield Demand(between, words, "numeric_value", code)


def _no_duplicates() -> Demand:
    key = ["subject_id", "time", "known_time", "code_number", "numeric_value", "text_value"]
    expectation = gxe.ExpectCompoundColumnsToBeUnique(column_list=key)
    return Demand(expectation, "no event is there twice", "subject_id, times, code, value")
