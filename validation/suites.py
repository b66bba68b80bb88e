"""The suites of Great Expectations, and the one place that runs them.

Runs on pandas, for there is no Polars engine, without a project on disk, telemetry or progress
bars. Results may quote cells, exceptions and log lines too, so :func:`judge` returns a verdict
and two counts per demand and drops the rest.
"""

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final, Literal

# 1.24 sends nothing; versions before and perhaps after it read this when they are imported.
os.environ["GX_ANALYTICS_ENABLED"] = "false"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from great_expectations.expectations.row_conditions import Column

import numpy as np
import polars as pl

from validation.contract import CodeContract, TableContract
from validation.tables import (
    COPY_TYPES,
    COUNT,
    EVENT_TYPES,
    INTEGER,
    NUMBER,
    QUARANTINE_TYPES,
    TEXT,
    PreparedTable,
    subject_types,
)

# The library exports its expectations without saying so to a type checker.
gxe: Any = gx.expectations

# No format of results is free of cells but BOOLEAN_ONLY, which has no counts: ask for counts and
# no sample of unexpected cells, then read the counts alone.
RESULT_FORMAT: Final = {"result_format": "BASIC", "partial_unexpected_count": 0}
Part = Literal["types", "rows"]


@dataclass(frozen=True)
class Demand:
    """An expectation, the part of a prepared table it looks at, and its words for people."""

    expectation: Any
    declared: str
    column: str | None = None
    scope: str | None = None
    part: Part = "rows"

    @property
    def name(self) -> str:
        return str(self.expectation.expectation_type)


@dataclass(frozen=True)
class Judgement:
    """Whether a demand held. The counts are null where there are none."""

    success: bool
    element_count: int | None
    unexpected_count: int | None


def judge(table: PreparedTable, demands: list[Demand]) -> list[Judgement]:
    """Judge every demand, in order. A demand that cannot be evaluated did not hold."""
    frames = {"types": table.types, "rows": table.rows}
    with _silence():
        context = gx.get_context(mode="ephemeral", project_config=_no_project())
        source = context.data_sources.add_pandas("tables")
        batches = {name: _batch(source, name, frame) for name, frame in frames.items()}
        found: dict[int, Judgement] = {}
        for part, batch in batches.items():
            found |= _judge_part(batch, [(i, d) for i, d in enumerate(demands) if d.part == part])
    return [found[number] for number in range(len(demands))]


def _no_project() -> DataContextConfig:
    """Nothing on disk (not even the temporary site of the default), sent or drawn."""
    return DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )


def _batch(source: Any, name: str, frame: pl.DataFrame) -> Any:
    # Great Expectations compares times as numpy arrays, which know no zone: all of ours are UTC.
    zoned = pl.col(pl.Datetime("us", "UTC"))
    pandas = frame.with_columns(zoned.dt.replace_time_zone(None)).to_pandas()
    definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
    return definition.get_batch({"dataframe": pandas})


def _judge_part(batch: Any, demands: list[tuple[int, Demand]]) -> dict[int, Judgement]:
    """One run over the batch for all of its demands: what they have in common is computed once."""
    suite = gx.ExpectationSuite(name="contract")
    for number, demand in demands:
        suite.add_expectation(demand.expectation.copy(update={"meta": {"number": number}}))
    results = batch.validate(suite, result_format=RESULT_FORMAT).results
    return {result.expectation_config.meta["number"]: _judgement(result) for result in results}


def _judgement(result: Any) -> Judgement:
    counts = result.result
    elements = counts.get("element_count", counts.get("observed_value"))
    unexpected = counts.get("unexpected_count")
    return Judgement(result.success is True, _count(elements), _count(unexpected))


def _count(value: Any) -> int | None:
    return value if type(value) is int else None


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the library's log lines and warnings, which may quote cells, to ourselves."""
    logger = logging.getLogger("great_expectations")
    # Its modules set levels of their own, so lines are stopped where they all pass.
    sink, propagated = logging.NullHandler(), logger.propagate
    logger.addHandler(sink)
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.propagate = propagated
        logger.removeHandler(sink)


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
    return Demand(expectation, f"at least {minimum:,}{upper} {noun}")


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
    of_code = Column("code_number") == number
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
    key = ["subject_id", "time", "code_number", "numeric_value", "text_value"]
    expectation = gxe.ExpectCompoundColumnsToBeUnique(column_list=key)
    return Demand(expectation, "no event is there twice", "subject_id, time, code, value")
