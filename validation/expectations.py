"""The declared contract of a study, checked table by table.

Great Expectations judges; this module prepares what it looks at and lets out only counts. A
result of Great Expectations may quote cells (its SUMMARY format does), so no result object, no
exception text and no log line of it leaves ``validation.judging``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from validation.contract import TableContract
from validation.data_evidence import CheckResult
from validation.tables import PREPARATIONS, scan_table

TableName = Literal["events", "subjects", "quarantine", "copies"]


@dataclass(frozen=True)
class ExpectationOutcome:
    """One expectation and whether it held: names and counts, never a value of a record.

    ``scope`` is the declared code that a condition selects, ``declared`` the demand in words from
    the contract. Counts are null where an expectation has none (a column exists) or could not be
    evaluated (its column is missing or of another type), which is a failure.
    """

    table: str
    expectation: str
    column: str | None
    scope: str | None
    declared: str
    success: bool
    element_count: int | None
    unexpected_count: int | None


def check_tables(
    tables: Mapping[TableName, pl.DataFrame | Path | Iterator[pl.DataFrame]],
    contract: TableContract,
) -> list[ExpectationOutcome]:
    """Check every table against the contract, in the order of ``tables``.

    Args:
        tables: by name: ``events`` and ``subjects`` (DESIGN, event and subject table),
            ``quarantine`` (one row a source file: file, rows_in, accepted, quarantined,
            duplicates, empty) and ``copies`` (one row a channel that copies another: code,
            copy_of, joined_rows, equal_rows). A path is a Parquet file or a folder of them; an
            iterator gives a table in parts, one of which is held at a time: at least one, each
            with all rows of its subjects.
        contract: what the study declares.

    Returns:
        One outcome per expectation; what fails is listed, nothing is raised.

    Raises:
        ValueError: a table's name is none of the four, or ``events`` comes without ``subjects``.
    """
    unknown = sorted(set(tables) - set(PREPARATIONS))
    if unknown:
        raise ValueError(f"no contract for the tables: {', '.join(unknown)}")
    if "events" in tables and "subjects" not in tables:
        raise ValueError("events can only be checked beside their subjects")
    # Great Expectations takes seconds to import: only whoever checks pays for it.
    from validation.judging import judge_parts
    from validation.suites import SUITES

    whole = {
        str(name): scan_table(table)
        for name, table in tables.items()
        if not isinstance(table, Iterator)
    }
    outcomes = []
    for name, table in tables.items():
        demands = SUITES[name](contract)
        parts = (part.lazy() for part in table) if isinstance(table, Iterator) else [whole[name]]
        prepared = (PREPARATIONS[name](whole | {name: part}, contract) for part in parts)
        judgements = judge_parts(prepared, demands)
        outcomes += [
            ExpectationOutcome(
                table=name,
                expectation=demand.name,
                column=demand.column,
                scope=demand.scope,
                declared=demand.declared,
                success=judgement.success,
                element_count=judgement.element_count,
                unexpected_count=judgement.unexpected_count,
            )
            for demand, judgement in zip(demands, judgements, strict=True)
        ]
    return outcomes


def contract_checks(outcomes: list[ExpectationOutcome]) -> tuple[CheckResult, ...]:
    """The outcomes as evidence, in words: what was demanded and what was seen."""
    return tuple(
        CheckResult(
            name=outcome.expectation,
            table=outcome.table,
            kind="contract",
            passed=outcome.success,
            words=_words(outcome),
            unexpected=outcome.unexpected_count,
        )
        for outcome in outcomes
    )


def _words(outcome: ExpectationOutcome) -> str:
    where = " of ".join(part for part in (outcome.column, outcome.scope) if part)
    demanded = f"{where}: {outcome.declared}" if where else outcome.declared
    if outcome.unexpected_count is not None:
        elements = f"{outcome.element_count:,}" if outcome.element_count is not None else "all"
        return f"{demanded}; {outcome.unexpected_count:,} of {elements} rows differ"
    if outcome.element_count is not None:
        return f"{demanded}; found {outcome.element_count:,}"
    return demanded if outcome.success else f"{demanded}; it is not so, or cannot be evaluated"
