"""Users in the metadata database (FAB), made by two preparations at once and by a third."""

import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from werkzeug.security import check_password_hash

from tests.cluster.settings import clean_environment, secret, shipped
from tests.dags.installations import ROOT, python
from tests.faults.airflow_services import free_port
from tests.publication.servers import Server, own_server

pytestmark = pytest.mark.slow

HOST = "127.0.0.1"
USERS = "SELECT u.username, r.name FROM ab_user u JOIN ab_user_role m ON m.user_id = u.id JOIN ab_role r ON r.id = m.role_id ORDER BY 1"  # noqa: E501
READS = """
SELECT DISTINCT a.name, v.name FROM ab_permission_view_role m
JOIN ab_role r ON r.id = m.role_id JOIN ab_permission_view p ON p.id = m.permission_view_id
JOIN ab_permission a ON a.id = p.permission_id JOIN ab_view_menu v ON v.id = p.view_menu_id
WHERE r.name = 'EquipoiseReader' ORDER BY 2
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_server(HOST, free_port()) as made:
        yield made


def environment(folder: Path, server: Server) -> dict[str, str]:
    where = f"{HOST}:{server.port}"
    word = secrets.token_hex(8)
    secret(folder, "predictions", f"postgresql://pipeline:{word}@{where}/equipoise")
    secret(folder, "superuser", server.url)
    metadata = secret(folder, "metadata", f"postgresql+psycopg2://airflow:{word}@{where}/airflow")
    return (
        clean_environment()
        | shipped()
        | {
            "EQUIPOISE_HOME": str(folder / "home"),
            "AIRFLOW_HOME": str(folder / "airflow"),
            "EQUIPOISE_DATABASE_URL_FILE": str(folder / "predictions"),
            "EQUIPOISE_SUPERUSER_URL_FILE": str(folder / "superuser"),
            "EQUIPOISE_AIRFLOW_USERS": "ada:user, vic:viewer, olga:op",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__AUTH_MANAGER": (
                "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
            ),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": metadata,
        }
    )


def test_users_stand_once_each_with_their_roles_however_often_the_cluster_is_prepared(
    server: Server, tmp_path: Path
) -> None:
    env = environment(tmp_path, server)

    def prepare(_: int) -> tuple[int, str, str]:
        return python("-m", "dags.cluster", "init", env=env, timeout_s=600)

    with ThreadPoolExecutor() as both:
        done = [*both.map(prepare, range(2)), prepare(3)]
    assert [code for code, _, _ in done] == [0, 0, 0], done[0][2] + done[1][2]
    with psycopg.connect(make_conninfo(server.url, dbname="airflow")) as connection:
        assert connection.execute(USERS).fetchall() == [
            ("ada", "User"),
            ("admin", "Admin"),
            ("equipoise-reader", "EquipoiseReader"),
            ("olga", "Op"),
            ("vic", "Viewer"),
        ]
        assert connection.execute(READS).fetchall() == [
            ("can_read", "DAG Runs"),
            ("can_read", "DAGs"),
            ("can_read", "HITL Detail"),
            ("can_read", "Task Instances"),
            # FAB gives it to every role.
            ("can_read", "Website"),
        ]
        pools = connection.execute("SELECT pool, slots FROM slot_pool ORDER BY 1").fetchall()
    assert pools == [("default_pool", 4), ("gpu", 1)]
    passwords = tmp_path / "home" / "secrets" / "airflow_passwords.json"
    assert passwords.stat().st_mode & 0o077 == 0


ACCOUNTS = "SELECT username, active, password FROM ab_user"
DO = """
from dags.user_database import get_application_builder
with get_application_builder() as builder:
    security = builder.sm
    role = security.find_role("Viewer")
    security.add_user("made", "made", "-", "made@hospital.example", role, password="on the page")
    security.reset_password(security.find_user(username="ada").id, "chosen by ada")
    security.reset_password(security.find_user(username="equipoise-reader").id, "another's")
    olga = security.find_user(username="olga")
    olga.active = False
    security.update_user(olga)
una = security.find_user(username="una")
una.email = "una@hospital.example"
security.update_user(una)
"""


def test_a_password_is_its_owners_and_who_is_named_no_more_cannot_log_in(
    server: Server, tmp_path: Path
) -> None:
    env = environment(tmp_path, server)
    # The test above may have gone before, in another home, whose reader had another password.
    env["EQUIPOISE_AIRFLOW_USERS"] = "ada:user, vic:viewer, olga:op, una:op"
    init(env)
    assert python("-c", DO, env=env, timeout_s=300)[0] == 0
    before = accounts_of(server)

    init(env | {"EQUIPOISE_AIRFLOW_USERS": "ada:viewer, olga:op"})

    after = accounts_of(server)
    is_active = {name: active for name, (active, _) in after.items()}
    assert is_active == {
        "admin": True,
        "ada": True,
        "vic": False,
        # An administrator had given it a real address.
        "una": False,
        # An administrator had closed it on the page, and made the other there.
        "olga": False,
        "made": True,
        "equipoise-reader": True,
    }
    kept = [name for name in before if before[name][1] == after[name][1]]
    assert sorted(kept) == ["ada", "admin", "made", "olga", "una", "vic"]
    words = json.loads((tmp_path / "home" / "secrets" / "airflow_passwords.json").read_text())
    assert check_password_hash(after["equipoise-reader"][1], words["equipoise-reader"])
    assert check_password_hash(after["ada"][1], "chosen by ada")

    init(env)
    again = accounts_of(server)
    assert {name: again[name] for name in ("vic", "una")} == {
        name: (True, before[name][1]) for name in ("vic", "una")
    }
    assert not again["olga"][0]


REFUSAL = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
CREATE TRIGGER refuse BEFORE {event} ON ab_user FOR EACH ROW WHEN ({row})
    EXECUTE FUNCTION refuse();
"""
# Who is named, whose row the database refuses, and when.
REFUSALS = [
    ("ada:user", "vic", "UPDATE", "NEW.username = 'vic' AND NOT NEW.active"),
    ("ada:user", "ada", "UPDATE", "NEW.username = 'ada' AND NEW.password <> OLD.password"),
    ("ada:user, nia:user", "nia", "INSERT", "NEW.username = 'nia'"),
]


def test_what_airflow_cannot_save_ends_the_preparation_and_is_done_by_the_next(
    server: Server, tmp_path: Path
) -> None:
    env = environment(tmp_path, server)
    init(env | {"EQUIPOISE_AIRFLOW_USERS": "ada:user, vic:viewer"})
    passwords = tmp_path / "home" / "secrets" / "airflow_passwords.json"
    kept = json.loads(passwords.read_text())
    del kept["ada"]
    passwords.write_text(json.dumps(kept))

    for users, name, event, row in REFUSALS:
        with refusing(server, event, row):
            code, errors = prepare_once(env | {"EQUIPOISE_AIRFLOW_USERS": users})
        assert (code, f"did not save the user {name}" in errors) == (33, True), errors
        assert json.loads(passwords.read_text()) == kept

    init(env | {"EQUIPOISE_AIRFLOW_USERS": "ada:user, nia:user"})
    words, after = json.loads(passwords.read_text()), accounts_of(server)
    assert all(check_password_hash(after[name][1], words[name]) for name in ("ada", "nia"))
    assert [after[name][0] for name in ("ada", "nia", "vic")] == [True, True, False]


@contextmanager
def refusing(server: Server, event: str, row: str) -> Iterator[None]:
    """The database refuses to write such a row of a user."""
    url = make_conninfo(server.url, dbname="airflow")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(REFUSAL.format(event=event, row=row).encode())
        try:
            yield
        finally:
            connection.execute("DROP FUNCTION refuse() CASCADE")


def init(env: dict[str, str]) -> None:
    code, errors = prepare_once(env)
    assert code == 0, errors


def prepare_once(env: dict[str, str]) -> tuple[int, str]:
    code, _, errors = python("-m", "dags.cluster", "init", env=env, timeout_s=600)
    return code, errors


def accounts_of(server: Server) -> dict[str, tuple[bool, str]]:
    """Name -> whether it may log in, and the hash of its password."""
    with psycopg.connect(make_conninfo(server.url, dbname="airflow")) as connection:
        found = connection.execute(ACCOUNTS).fetchall()
    return {name: (active, password) for name, active, password in found}
