"""Who may do what in PostgreSQL, asked of the server and compared with what is written here."""

from typing import Any, LiteralString

import psycopg
import pytest

from pipelines.publication.postgres.roles import ROLES, TABLES, VIEWS
from pipelines.publication.schema import CONTRACT
from tests.publication.acting import Connection, acting_as
from tests.publication.test_guards_postgres import insert, let_in
from tests.publication.world import ANOTHER, WORLD

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
ADDED = ("audits", "approvals", "releases", "publications", "withdrawals")
EVERYTHING = (*TABLES, *VIEWS, "access_log", "study_grants")

# Role -> table or view -> verbs; what is not here is not allowed.
MATRIX: dict[str, dict[str, set[str]]] = {
    "equipoise_writer": {
        **{table: {"SELECT", "INSERT"} for table in ADDED},
        "predictions": {"INSERT"},
        "erasures": {"SELECT"},
        "publication_states": {"SELECT"},
    },
    "equipoise_analyst": {
        **{table: {"SELECT"} for table in (*ADDED, "predictions")},
        "publication_states": {"SELECT"},
        "predictions_published": {"SELECT"},
        "predictions_current": {"SELECT"},
        "predictions_withdrawn": {"SELECT"},
    },
    "equipoise_auditor": {table: {"SELECT"} for table in EVERYTHING},
    "equipoise_eraser": {},
    "equipoise_erasure": {
        "predictions": {"SELECT", "DELETE"},
        "erasures": {"SELECT", "INSERT"},
        "erased_rows": {"INSERT"},
    },
    "equipoise_owner": {table: set(VERBS) for table in EVERYTHING},
    "public": {},
}
READING = {"predictions_as_of", "predictions_seen_at"}
FUNCTIONS: dict[str, set[str]] = {
    "equipoise_writer": {"granted_studies", "log_head", "open_incoming"},
    "equipoise_analyst": READING | {"granted_studies", "granted_and_told"},
    "equipoise_auditor": READING
    | {"granted_studies", "granted_and_told", "log_head", "broken_event_numbers", "event_hash"},
    "equipoise_eraser": {"granted_studies", "log_head", "erase_subject"},
    "equipoise_erasure": {"granted_studies", "keyed_hash", "erase_subject"},
    "public": set(),
}
ASKED_FUNCTIONS = """
SELECT proname FROM pg_proc
WHERE pronamespace = 'equipoise'::regnamespace AND has_function_privilege(%s, oid, 'EXECUTE')
"""


def rights(connection: Connection, role: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for table in EVERYTHING:
        for verb in VERBS:
            by_column = verb in ("SELECT", "INSERT", "UPDATE", "REFERENCES")
            function = "has_any_column_privilege" if by_column else "has_table_privilege"
            asked = f"SELECT {function}(%s, %s, %s)"
            ((may,),) = connection.execute(asked, (role, table, verb)).fetchall()
            if may:
                found.setdefault(table, set()).add(verb)
    return found


@pytest.mark.parametrize("role", MATRIX)
def test_the_rights_of_a_role_are_those_declared(by_hand: Connection, role: str) -> None:
    assert rights(by_hand, role) == MATRIX[role]
    by_hand.rollback()


@pytest.mark.parametrize("role", FUNCTIONS)
def test_the_functions_that_a_role_may_call_are_those_declared(
    by_hand: Connection, role: str
) -> None:
    found = {row[0] for row in by_hand.execute(ASKED_FUNCTIONS, (role,)).fetchall()}
    assert found == FUNCTIONS[role]
    by_hand.rollback()


def test_taking_any_one_grant_away_is_seen(by_hand: Connection) -> None:
    for role, tables in MATRIX.items():
        for table, verbs in tables.items() if role != "equipoise_owner" else ():
            for verb in verbs:
                by_hand.rollback()
                revoked = f"REVOKE {verb} ON {table} FROM {role}"
                if (role, table) == ("equipoise_analyst", "predictions"):
                    revoked = f"REVOKE ALL ON {table} FROM {role}"
                by_hand.execute(revoked)
                assert rights(by_hand, role) != MATRIX[role], revoked
    by_hand.rollback()


def test_an_analyst_reads_no_key_of_a_row(by_hand: Connection) -> None:
    asked = "SELECT has_column_privilege('equipoise_analyst', 'predictions', %s, 'SELECT')"
    (predictions,) = (table for table in CONTRACT if table.name == "predictions")
    hidden = {
        name
        for name in predictions.columns
        if by_hand.execute(asked, (name,)).fetchall() == [(False,)]
    }
    assert hidden == {"row_key", "commitment"}
    by_hand.rollback()


@pytest.mark.parametrize("role", ROLES[1:])
def test_no_role_but_the_owner_makes_anything_or_logs_in(by_hand: Connection, role: str) -> None:
    asked = """
    SELECT has_schema_privilege(%(role)s, 'equipoise', 'CREATE'),
        has_schema_privilege(%(role)s, 'public', 'CREATE'),
        has_database_privilege(%(role)s, current_database(), 'CREATE'),
        has_database_privilege(%(role)s, current_database(), 'TEMPORARY'),
        rolcanlogin, rolbypassrls, rolsuper, rolcreaterole, rolcreatedb
    FROM pg_roles WHERE rolname = %(role)s
    """
    assert by_hand.execute(asked, {"role": role}).fetchall() == [(False,) * 9]
    by_hand.rollback()


def test_the_role_that_erases_is_nobodys(by_hand: Connection) -> None:
    asked = "SELECT count(*) FROM pg_auth_members WHERE roleid = 'equipoise_erasure'::regrole"
    assert by_hand.execute(asked).fetchall() == [(0,)]
    by_hand.rollback()


def count(connection: Connection, table: str) -> int:
    asked = f"SELECT count(*) FROM {table}"  # noqa: S608 - names of the contract
    ((found,),) = connection.execute(asked).fetchall()
    return int(found)


@pytest.mark.parametrize("table", ADDED[:3])
def test_an_analyst_sees_the_studies_granted_and_no_other(people: Connection, table: str) -> None:
    of_other = sum(name == table and row["study"] == "other" for name, row in WORLD.values())
    assert of_other > 0
    with acting_as(people, "equipoise_test_analyst") as analyst:
        assert count(analyst, table) == of_other
    with acting_as(people, "equipoise_test_stranger") as stranger:
        assert count(stranger, table) == 0


@pytest.mark.parametrize("view", [*VIEWS, "predictions"])
def test_no_row_of_a_study_that_was_not_granted_is_in_any_view(
    people: Connection, view: str
) -> None:
    column = "subject_id" if view.startswith("predictions") else "generation_id"
    asked = f"SELECT {column} FROM {view}"  # noqa: S608 - own names
    for name in ("equipoise_test_analyst", "equipoise_test_stranger"):
        with acting_as(people, name) as analyst:
            assert analyst.execute(asked).fetchall() == []
    with acting_as(people, "equipoise_test_auditor") as auditor:
        assert auditor.execute(asked).fetchall() != []


@pytest.mark.parametrize("table", [*ADDED, "predictions"])
def test_without_row_level_security_an_analyst_would_see_every_study(
    people: Connection, table: str
) -> None:
    off = f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
    with acting_as(people, "equipoise_test_stranger", off) as stranger:
        asked = f"SELECT study FROM {table}"  # noqa: S608 - own names
        assert stranger.execute(asked).fetchall() != []


def test_row_level_security_is_on_and_forced_for_every_table(by_hand: Connection) -> None:
    asked = """
    SELECT relname FROM pg_class WHERE relnamespace = 'equipoise'::regnamespace
    AND relkind = 'r' AND relrowsecurity AND relforcerowsecurity
    """
    assert {row[0] for row in by_hand.execute(asked).fetchall()} == set(TABLES)
    by_hand.rollback()


# Policy -> who cannot do what when it is gone.
_WRITER, _AUDITOR, _OWNER = "equipoise_test_writer", "equipoise_test_auditor", "equipoise_owner"
_ERASER = "equipoise_test_eraser"
POLICY_PROBES: dict[tuple[str, str], tuple[str, str]] = {
    **{("read_by_study", table): (_WRITER, "select") for table in ADDED},
    **{
        ("audited_by_study", table): (_AUDITOR, "select")
        for table in TABLES
        if table != "predictions"
    },
    ("read_and_told", "predictions"): (_AUDITOR, "select"),
    ("left_out_by_study", "erasures"): (_WRITER, "select"),
    **{("added_by_study", table): (_WRITER, "insert") for table in (*ADDED, "predictions")},
    ("counted", "publications"): (_OWNER, "select"),
    ("counted", "predictions"): (_OWNER, "select"),
    ("counted", "erased_rows"): (_OWNER, "select"),
    ("chained", "event_log"): (_OWNER, "select"),
    ("told", "event_log"): (_OWNER, "insert"),
    ("found", "predictions"): (_ERASER, "erase"),
    ("erased", "predictions"): (_ERASER, "erase"),
    ("found", "erasures"): (_ERASER, "erase"),
    ("entombed", "erasures"): (_ERASER, "erase"),
    ("kept", "erased_rows"): (_ERASER, "erase"),
}
POLICIES = "SELECT policyname, tablename FROM pg_policies WHERE schemaname = 'equipoise'"
ERASE = "SELECT erase_subject('toy', 1, convert_to(repeat('k', 32), 'UTF8'), 'asked', 'Ada')"


def works(connection: Connection, table: str, statement: str) -> bool:
    """Whether the work that a policy lets through is done."""
    try:
        if statement == "insert":
            first = next(row for name, row in WORLD.values() if name == table)
            insert(connection, table, first | ANOTHER[table])
            return True
        if statement == "erase":
            erased = connection.execute(ERASE).fetchall() == [(3,)]
            connection.execute("RESET SESSION AUTHORIZATION")
            left = connection.execute("SELECT count(*) FROM predictions").fetchall() == [(0,)]
            return erased and left
        asked = f"SELECT 1 FROM {table}"  # noqa: S608 - own names
        return connection.execute(asked).fetchall() != []
    except psycopg.errors.InsufficientPrivilege:
        return False


@pytest.mark.parametrize(("policy", "table"), POLICY_PROBES)
def test_a_policy_lets_through_what_would_be_refused_without_it(
    people: Connection, policy: str, table: str
) -> None:
    name, statement = POLICY_PROBES[policy, table]
    before = let_in(table) if table == "predictions" else ()
    with acting_as(people, name, *before) as person:
        assert works(person, table, statement)
    with acting_as(people, name, *before, f"DROP POLICY {policy} ON {table}") as person:
        assert not works(person, table, statement)


def test_every_policy_of_the_catalogue_is_one_of_those_tried(by_hand: Connection) -> None:
    assert set(by_hand.execute(POLICIES).fetchall()) == set(POLICY_PROBES)
    by_hand.rollback()


@pytest.mark.parametrize("table", [*ADDED, "predictions"])
def test_a_writer_who_is_granted_another_study_adds_nothing_to_this_one(
    people: Connection, table: str
) -> None:
    narrow = "DELETE FROM study_grants WHERE role_name = 'equipoise_writer'"
    with acting_as(people, "equipoise_test_writer", narrow) as writer:
        assert not works(writer, table, "insert")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE equipoise.mine (a INTEGER)",
        "CREATE TABLE public.mine (a INTEGER)",
        "CREATE TEMPORARY TABLE mine (a INTEGER)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION equipoise.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE predictions DISABLE TRIGGER ALL",
        "ALTER TABLE predictions DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE releases DROP CONSTRAINT releases_approval",
        "DROP TABLE withdrawals",
        "DROP TRIGGER only_added_to ON predictions",
        "DROP POLICY added_by_study ON predictions",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN'",
        "GRANT equipoise_erasure TO CURRENT_USER",
        "SET ROLE equipoise_erasure",
        "SET ROLE equipoise_owner",
        "SET session_replication_role = replica",
        "UPDATE releases SET approval_decision = 'approved'",
        "DELETE FROM withdrawals",
        "TRUNCATE predictions",
        "INSERT INTO event_log (event, study, payload) VALUES ('audit', 'toy', '{}')",
        "INSERT INTO study_grants VALUES ('equipoise_test_writer', '*')",
        "INSERT INTO erasures (study, subject_hash, ground, erased_by, erased_at, row_count) "
        "VALUES ('toy', repeat('8', 64), 'none', 'me', now(), 0)",
        "SELECT erase_subject('toy', 1, convert_to(repeat('k', 32), 'UTF8'), 'asked', 'me')",
        "SELECT row_key FROM predictions",
        "SELECT * FROM access_log",
    ],
)
@pytest.mark.parametrize("name", ["equipoise_test_writer", "equipoise_test_analyst"])
def test_who_publishes_or_reads_changes_no_guard_and_no_row(
    people: Connection, name: str, statement: LiteralString
) -> None:
    with acting_as(people, name) as person, pytest.raises(psycopg.errors.InsufficientPrivilege):
        person.execute(statement)


def test_every_view_asks_for_the_rights_of_who_reads_it(by_hand: Connection) -> None:
    asked = """
    SELECT relname, reloptions FROM pg_class
    WHERE relnamespace = 'equipoise'::regnamespace AND relkind = 'v'
    """
    found: dict[str, Any] = dict(by_hand.execute(asked).fetchall())
    assert set(found) == set(VIEWS)
    assert all(options == ["security_invoker=true"] for options in found.values())
    by_hand.rollback()


def test_every_function_that_runs_as_another_has_a_search_path_of_its_own(
    by_hand: Connection,
) -> None:
    asked = """
    SELECT proname, coalesce(array_to_string(proconfig, ' '), '') FROM pg_proc
    WHERE pronamespace = 'equipoise'::regnamespace AND prosecdef
    """
    found: dict[str, Any] = dict(by_hand.execute(asked).fetchall())
    assert set(found) == {
        *("tell_event", "log_head", "require_own_publication", "require_whole_publication"),
        *("granted_studies", "granted_and_told", "open_incoming", "erase_subject"),
    }
    assert all("search_path=equipoise, pg_temp" in options for options in found.values())
    by_hand.rollback()
