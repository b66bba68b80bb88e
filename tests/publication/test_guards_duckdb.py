"""Each constraint of the DuckDB tables refuses a row that every other one lets in."""

from collections.abc import Iterator

import duckdb
import pytest

from pipelines.publication.connection import connect
from pipelines.publication.schema import CONTRACT
from tests.publication.world import ANOTHER, HELD, WORLD, Row, guards, probe, sha

ALONE = [named for named in guards() if named not in HELD]


def make(table: str = "", guard: str = "") -> duckdb.DuckDBPyConnection:
    """The tables, with one guard of one table left out, and the rows that break nothing."""
    connection = connect(":memory:")
    for made in CONTRACT:
        connection.execute(made.statement(guard if made.name == table else ""))
    for name, row in WORLD.values():
        insert(connection, name, row)
    return connection


def insert(connection: duckdb.DuckDBPyConnection, table: str, row: Row) -> None:
    names, values = ", ".join(row), ", ".join(f"${name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", row)  # noqa: S608


@pytest.fixture(scope="module")
def whole() -> Iterator[duckdb.DuckDBPyConnection]:
    with make() as connection:
        yield connection


@pytest.mark.parametrize("table", ANOTHER)
def test_another_row_of_each_table_goes_in(whole: duckdb.DuckDBPyConnection, table: str) -> None:
    """The control: it is for what is changed that rows are refused below."""
    first = next(row for name, row in WORLD.values() if name == table)
    whole.begin()
    insert(whole, table, first | ANOTHER[table])
    whole.rollback()


@pytest.mark.parametrize(("table", "guard"), ALONE)
def test_a_guard_alone_refuses_its_row(
    whole: duckdb.DuckDBPyConnection, table: str, guard: str
) -> None:
    whole.begin()
    with pytest.raises(duckdb.ConstraintException):
        insert(whole, table, probe(table, guard))
    whole.rollback()
    with make(table, guard) as without:
        insert(without, table, probe(table, guard))


@pytest.mark.parametrize(("table", "guard"), sorted(HELD))
def test_a_guard_that_others_stand_on_cannot_be_left_out_alone(table: str, guard: str) -> None:
    with pytest.raises(duckdb.BinderException, match=r"(?i)primary key or unique"):
        make(table, guard)


def test_the_guards_tried_are_all_that_the_catalogue_knows(
    whole: duckdb.DuckDBPyConnection,
) -> None:
    """By kind: DuckDB forgets the names. A key makes its columns NOT NULL by itself."""
    found = whole.execute(
        "SELECT table_name, constraint_type, count(*) FROM duckdb_constraints() GROUP BY ALL"
    ).fetchall()
    counted = {(table, kind): number for table, kind, number in found}
    expected: dict[tuple[str, str], int] = {}
    for table in CONTRACT:
        kinds = ["PRIMARY KEY"] + ["NOT NULL"] * (len(table.required) + len(table.key))
        kinds += [
            next(kind for kind in ("CHECK", "UNIQUE", "FOREIGN KEY") if text.startswith(kind))
            for text in table.guards.values()
        ]
        for kind in kinds:
            expected[table.name, kind] = expected.get((table.name, kind), 0) + 1
    # A table that others refer to knows of each reference too; those are told by the referring.
    assert {key: number for key, number in counted.items() if key[1] != "FOREIGN KEY"} == {
        key: number for key, number in expected.items() if key[1] != "FOREIGN KEY"
    }
    for (table_name, kind), number in expected.items():
        if kind == "FOREIGN KEY":
            assert counted[table_name, kind] >= number


@pytest.mark.parametrize("name", ["model_sha256", "data_sha256", "policy_sha256"])
def test_a_release_of_other_bytes_than_were_approved_is_refused(
    whole: duckdb.DuckDBPyConnection, name: str
) -> None:
    other = WORLD["release"][1] | ANOTHER["releases"] | {name: sha("7")}
    whole.begin()
    with pytest.raises(duckdb.ConstraintException):
        insert(whole, "releases", other)
    whole.rollback()


def test_a_release_by_the_gate_on_an_approval_of_people_is_refused(
    whole: duckdb.DuckDBPyConnection,
) -> None:
    """Else it would have no end: the gate's approvals do not expire."""
    other = WORLD["release"][1] | ANOTHER["releases"] | {"approval_id": "free_people"}
    whole.begin()
    with pytest.raises(duckdb.ConstraintException):
        insert(whole, "releases", other)
    whole.rollback()
