"""The one place that runs Great Expectations.

It runs on pandas, for there is no Polars engine, without a project on disk, telemetry or progress
bars. Results may quote cells, exceptions and log lines too, so :func:`judge` returns a verdict
and two counts per demand and drops the rest.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from validation.silence import silenced

# 1.24 sends nothing; versions before and perhaps after it read this when they are imported.
os.environ["GX_ANALYTICS_ENABLED"] = "false"
with silenced("great_expectations"):
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from great_expectations.expectations.row_conditions import Column

import polars as pl

from validation.tables import PreparedTable

# The library exports its expectations without saying so to a type checker.
gxe: Any = gx.expectations

# No format of results is free of cells but BOOLEAN_ONLY, which has no counts: ask for counts and
# no sample of unexpected cells, then read the counts alone.
RESULT_FORMAT: Final = {"result_format": "BASIC", "partial_unexpected_count": 0}
Part = Literal["types", "rows"]


def where(column: str, equals: int) -> Any:
    """The condition that a demand looks only at rows whose ``column`` equals a number."""
    return Column(column) == equals


@dataclass(frozen=True)
class Demand:
    """An expectation, the part of a prepared table it looks at, and its words for people.

    ``rows_between``: how many rows the whole table may have, where that is what it demands.
    """

    expectation: Any
    declared: str
    column: str | None = None
    scope: str | None = None
    part: Part = "rows"
    rows_between: tuple[int, int | None] | None = None

    @property
    def name(self) -> str:
        return str(self.expectation.expectation_type)


@dataclass(frozen=True)
class Judgement:
    """Whether a demand held. The counts are null where there are none."""

    success: bool
    element_count: int | None
    unexpected_count: int | None


def judge_parts(tables: Iterable[PreparedTable], demands: list[Demand]) -> list[Judgement]:
    """Judge a table that comes in parts, at least one, as if it were whole, in order.

    What a demand compares with each other (the events of a subject) is in one part.
    """
    of_parts = [judge(table, demands) for table in tables]
    return [_together(demand, found) for demand, *found in zip(demands, *of_parts, strict=True)]


def _together(demand: Demand, found: list[Judgement]) -> Judgement:
    """One judgement over all parts: counts are added, a part that failed is a failure."""
    if demand.part == "types":
        return next((each for each in found if not each.success), found[0])
    elements = _sum([each.element_count for each in found])
    if demand.rows_between is None:
        return Judgement(
            all(each.success for each in found),
            elements,
            _sum([each.unexpected_count for each in found]),
        )
    low, high = demand.rows_between
    enough = elements is not None and low <= elements and (high is None or elements <= high)
    return Judgement(enough, elements, None)


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def judge(table: PreparedTable, demands: list[Demand]) -> list[Judgement]:
    """Judge every demand, in order. A demand that cannot be evaluated did not hold."""
    frames = {"types": table.types, "rows": table.rows}
    with silenced("great_expectations"):
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
