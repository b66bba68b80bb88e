"""Each constraint and trigger of PostgreSQL holds what nothing else does; take it away to see.

A guard is dropped in a transaction that is rolled back. All are listed from the catalogue, so that
a new one without a probe fails here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from pipelines.publication.postgres.functions import TIMED
from pipelines.publication.postgres.roles import OWNER
from pipelines.publication.schema import CONTRACT
from tests.publication.world import ANOTHER, HELD, WORLD, Row, guards, probe, sha

# A numbered column is NOT NULL as long as it numbers itself.
HELD_HERE = HELD | {("publications", "generation_number is required")}
ALONE = [named for named in guards() if named not in HELD_HERE]
CONSTRAINTS = """
SELECT conrelid::regclass::text, conname FROM pg_constraint
WHERE connamespace = 'equipoise'::regnamespace AND contype <> 't'
"""
TRIGGERS = """
SELECT tgrelid::regclass::text, tgname FROM pg_trigger
JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = 'equipoise'::regnamespace AND NOT tgisinternal
"""
Connection = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def tried(connection: Connection, *before: str) -> Iterator[None]:
    """A transaction that is taken back, with the rows that break nothing."""
    connection.rollback()
    for statement in before:
        connection.execute(statement)
    for table, row in WORLD.values():
        insert(connection, table, row)
    yield
    connection.rollback()


def insert(connection: Connection, table: str, row: Row) -> None:
    statement = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    connection.execute(statement, row)


def drop(table: str, guard: str) -> str:
    if guard.endswith(" is required"):
        column = guard.removesuffix(" is required")
        return f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL"
    return f"ALTER TABLE {table} DROP CONSTRAINT {table}_{guard}"


# A trigger fills columns (hashes of an event, moments), or lets no row in that is one too many:
# what the columns demand stands behind it.
BEFORE_THE_GUARDS = {
    "event_log": "chained",
    "predictions": "of_this_transaction",
    **dict.fromkeys(TIMED, "timed"),
}


def let_in(table: str) -> tuple[str, ...]:
    """What must be off for a row of any content to come to the table's constraints."""
    trigger = BEFORE_THE_GUARDS.get(table)
    return () if trigger is None else (f"ALTER TABLE {table} DISABLE TRIGGER {trigger}",)


@pytest.mark.parametrize("table", ANOTHER)
def test_another_row_of_each_table_goes_in(by_hand: Connection, table: str) -> None:
    first = next(row for name, row in WORLD.values() if name == table)
    with tried(by_hand, *let_in(table)):
        insert(by_hand, table, first | ANOTHER[table])


@pytest.mark.parametrize(("table", "guard"), ALONE)
def test_a_constraint_alone_refuses_its_row(by_hand: Connection, table: str, guard: str) -> None:
    with tried(by_hand, *let_in(table)), pytest.raises(psycopg.IntegrityError):
        insert(by_hand, table, probe(table, guard))
    with tried(by_hand, *let_in(table), drop(table, guard)):
        insert(by_hand, table, probe(table, guard))


@pytest.mark.parametrize(
    "change",
    [
        *({name: sha("7")} for name in ("model_sha256", "data_sha256", "policy_sha256")),
        {"approval_id": "free_people"},
    ],
)
def test_a_release_on_other_bytes_or_grounds_than_were_approved_is_refused(
    by_hand: Connection, change: Row
) -> None:
    with tried(by_hand), pytest.raises(psycopg.errors.ForeignKeyViolation):
        insert(by_hand, "releases", WORLD["release"][1] | ANOTHER["releases"] | change)


@pytest.mark.parametrize(("table", "guard"), sorted(HELD_HERE))
def test_a_constraint_that_others_stand_on_cannot_be_dropped(
    by_hand: Connection, table: str, guard: str
) -> None:
    with pytest.raises(psycopg.Error, match=r"depend|identity"), tried(by_hand, drop(table, guard)):
        pass
    by_hand.rollback()


def test_every_constraint_of_the_catalogue_is_one_of_those_tried(by_hand: Connection) -> None:
    tried_here = {
        (
            table,
            f"{table}_{guard.removesuffix(' is required')}_not_null"
            if guard.endswith(" is required")
            else f"{table}_{guard}",
        )
        for table, guard in guards()
    }
    # A key makes its columns NOT NULL: they cannot be made otherwise while it stands.
    implied = {
        (table.name, f"{table.name}_{name}_not_null") for table in CONTRACT for name in table.key
    }
    of_others = {"access_log", "study_grants"}
    found = {row for row in by_hand.execute(CONSTRAINTS).fetchall() if row[0] not in of_others}
    assert found == tried_here | implied


def as_owner(statement: LiteralString) -> Callable[[Connection], bool]:
    """Whether the statement is refused to the one who has every right on the table."""

    def is_refused(connection: Connection) -> bool:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        try:
            connection.execute(statement)
        except psycopg.errors.RestrictViolation:
            return True
        return False

    return is_refused


def is_told(table: str) -> Callable[[Connection], bool]:
    """Whether a new row has its event at the end of its transaction."""

    def told(connection: Connection) -> bool:
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        before = count_events(connection)
        first = next(row for name, row in WORLD.values() if name == table)
        row = first | ANOTHER[table]
        insert(connection, table, row)
        if table == "publications":
            prediction = WORLD["prediction"][1]
            insert(connection, "predictions", prediction | {"generation_id": "another"})
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        return count_events(connection) == before + 1

    return told


def count_events(connection: Connection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM event_log").fetchall()
    return int(count)


def forgery_is_replaced(connection: Connection) -> bool:
    forged = {"event_number": 77, "previous_sha256": sha("7"), "event_sha256": sha("8")}
    insert(connection, "event_log", WORLD["event"][1] | forged)
    found = connection.execute("SELECT event_sha256 FROM event_log").fetchall()
    return (sha("8"),) not in found


def late_rows_are_refused(connection: Connection) -> bool:
    """A savepoint has a number of its own, as another transaction has."""
    with connection.transaction():
        insert(connection, "publications", WORLD["publication"][1] | ANOTHER["publications"])
    late = WORLD["prediction"][1] | {"generation_id": "another"}
    try:
        insert(connection, "predictions", late)
    except psycopg.errors.RestrictViolation:
        return True
    return False


def half_a_publication_is_refused(connection: Connection) -> bool:
    half = WORLD["publication"][1] | ANOTHER["publications"] | {"row_count": 2}
    insert(connection, "publications", half)
    insert(connection, "predictions", WORLD["prediction"][1] | {"generation_id": "another"})
    try:
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.errors.RestrictViolation:
        return True
    return False


def backdating_is_replaced(table: str, column: str) -> Callable[[Connection], bool]:
    """Whether a row that says 2020 is told to be of today."""

    def is_replaced(connection: Connection) -> bool:
        asked = f"SELECT bool_and(now() - {column} < interval '1 hour') FROM {table}"  # noqa: S608
        return connection.execute(asked).fetchall() == [(True,)]

    return is_replaced


# (table, trigger) -> whether it does its work.
TRIGGER_PROBES: dict[tuple[str, str], Callable[[Connection], bool]] = {
    **{
        (table.name, "only_added_to"): as_owner(
            f"UPDATE {table.name} SET study = study"  # noqa: S608
        )
        for table in CONTRACT
    },
    ("access_log", "only_added_to"): as_owner("UPDATE access_log SET reader = 'nobody'"),
    **{
        (table, "told"): is_told(table)
        for table in ("audits", "approvals", "releases", "publications", "withdrawals", "erasures")
    },
    ("audits", "timed"): backdating_is_replaced("audits", "recorded_at"),
    ("publications", "timed"): backdating_is_replaced("publications", "published_at"),
    ("withdrawals", "timed"): backdating_is_replaced("withdrawals", "changed_at"),
    ("event_log", "chained"): forgery_is_replaced,
    ("predictions", "of_this_transaction"): late_rows_are_refused,
    ("publications", "whole"): half_a_publication_is_refused,
}


def test_a_publication_that_was_asked_early_whether_it_is_whole_takes_no_further_row(
    by_hand: Connection,
) -> None:
    late = WORLD["prediction"][1] | ANOTHER["predictions"]
    with tried(by_hand):
        by_hand.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(psycopg.errors.RestrictViolation, match="no more predictions"):
            insert(by_hand, "predictions", late)


@pytest.mark.parametrize(("table", "trigger"), TRIGGER_PROBES)
def test_a_trigger_alone_does_its_work(by_hand: Connection, table: str, trigger: str) -> None:
    holds = TRIGGER_PROBES[table, trigger]
    with tried(by_hand):
        assert holds(by_hand)
    with tried(by_hand, f"DROP TRIGGER {trigger} ON {table}"):
        assert not holds(by_hand)


def test_every_trigger_of_the_catalogue_is_one_of_those_tried(by_hand: Connection) -> None:
    assert set(by_hand.execute(TRIGGERS).fetchall()) == set(TRIGGER_PROBES)


@pytest.mark.parametrize("verb", ["DELETE FROM", "TRUNCATE"])
@pytest.mark.parametrize("table", [table.name for table in CONTRACT])
def test_nobody_deletes_not_even_the_owner_and_a_superuser_must_drop_the_trigger_first(
    by_hand: Connection, verb: str, table: str
) -> None:
    statement = f"{verb} {table}" + (" CASCADE" if verb == "TRUNCATE" else "")
    for role in (OWNER, "none"):
        by_hand.rollback()
        by_hand.execute(f"SET LOCAL ROLE {role}")
        with pytest.raises(psycopg.errors.RestrictViolation, match="only ever"):
            by_hand.execute(statement)
    by_hand.rollback()


READ = {"read_number": 1, "reader": "ada", "relation": "predictions", "backend": 1}
OTHERS: dict[str, tuple[str, Row]] = {
    "access_log_key": ("access_log", READ | {"read_at": WORLD["audit"][1]["recorded_at"]}),
    "study_grants_key": ("study_grants", {"role_name": "ada", "study": "toy"}),
}


@pytest.mark.parametrize("key", OTHERS)
def test_a_read_has_its_number_and_a_grant_is_given_once(by_hand: Connection, key: str) -> None:
    table, row = OTHERS[key]
    for before in ((), (f"ALTER TABLE {table} DROP CONSTRAINT {key}",)):
        with tried(by_hand, *before):
            insert(by_hand, table, row)
            if before:
                insert(by_hand, table, row)
            else:
                with pytest.raises(psycopg.errors.UniqueViolation):
                    insert(by_hand, table, row)


@pytest.mark.parametrize("column", ["reader", "relation", "read_at", "backend"])
def test_a_read_says_who_what_and_when(by_hand: Connection, column: str) -> None:
    row = OTHERS["access_log_key"][1] | {column: None}
    with tried(by_hand), pytest.raises(psycopg.errors.NotNullViolation):
        insert(by_hand, "access_log", row)
    with tried(by_hand, drop("access_log", f"{column} is required")):
        insert(by_hand, "access_log", row)
