"""What `python -m dags.cluster init` makes in a real PostgreSQL that asks for passwords."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from celery import Celery
from celery.backends.database import DatabaseBackend

from dags.results import make_result_tables
from pipelines.errors import DatabaseUnavailable
from pipelines.publication.postgres.cluster_databases import (
    Login,
    grant_results,
    login_of,
    make_databases,
    wait_for,
)
from tests.faults.airflow_services import free_port
from tests.publication.servers import Server, own_server

HOST = "127.0.0.1"
FIRST = "first"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_server(HOST, free_port()) as made:
        yield made


def url(server: Server, name: str, database: str, password: str = FIRST) -> str:
    return f"postgresql://{name}:{password}@{HOST}:{server.port}/{database}"


def connects(address: str) -> bool:
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        return False
    return True


def make(server: Server, password: str = FIRST) -> None:
    metadata = url(server, "airflow", "airflow", password).replace("://", "+psycopg2://")
    make_databases(server.url, metadata, url(server, "pipeline", "equipoise", password))


def test_two_preparations_at_once_make_one_cluster(server: Server) -> None:
    with ThreadPoolExecutor() as both:
        for done in [both.submit(make, server), both.submit(make, server)]:
            done.result()
    assert connects(url(server, "airflow", "airflow"))
    assert connects(url(server, "pipeline", "equipoise"))


def test_a_login_enters_its_own_database_alone(server: Server) -> None:
    make(server)
    assert not connects(url(server, "airflow", "equipoise"))
    assert not connects(url(server, "pipeline", "airflow"))
    assert not connects(url(server, "pipeline", "equipoise", "guessed"))


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE other",
        "CREATE DATABASE other",
        "CREATE TABLE equipoise.other (x INT)",
        "DELETE FROM equipoise.predictions",
        "UPDATE equipoise.releases SET study = 'other'",
        "INSERT INTO equipoise.study_grants VALUES ('pipeline', '*')",
        "SET ROLE equipoise_owner",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_the_pipelines_login_is_no_superuser(server: Server, statement: str) -> None:
    make(server)
    with (
        psycopg.connect(url(server, "pipeline", "equipoise"), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_another_password_in_the_url_takes_the_place_of_the_first(server: Server) -> None:
    make(server)
    make(server, "second")
    assert not connects(url(server, "pipeline", "equipoise"))
    assert connects(url(server, "pipeline", "equipoise", "second"))
    make(server)


def test_no_password_is_in_the_servers_log_nor_in_clear_in_its_tables(server: Server) -> None:
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET log_statement = 'all'")
        admin.execute("SELECT pg_reload_conf()")
    make(server, "of-nobody-else")
    make(server)
    assert "ALTER ROLE" in server.log
    assert "of-nobody-else" not in server.log


@pytest.mark.parametrize(
    ("metadata", "predictions"),
    [
        (("airflow", "one"), ("pipeline", "one")),
        (("same", "airflow"), ("same", "equipoise")),
        (("airflow", "airflow"), ("postgres", "equipoise")),
    ],
)
def test_logins_or_databases_that_are_not_apart_are_refused(
    server: Server, metadata: tuple[str, str], predictions: tuple[str, str]
) -> None:
    with pytest.raises(DatabaseUnavailable, match="share a login or a database"):
        make_databases(server.url, url(server, *metadata), url(server, *predictions))


def test_the_results_login_writes_what_came_of_tasks_and_sees_nothing_else_of_the_metadata(
    server: Server,
) -> None:
    metadata, results = (url(server, name, "airflow") for name in ("airflow", "results"))
    predictions = url(server, "pipeline", "equipoise")
    make_databases(server.url, metadata, predictions, results_url=f"db+{results}")
    with psycopg.connect(metadata, autocommit=True) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS approvals_of_airflow (answer TEXT)")
    for _ in range(2):
        make_result_tables(metadata.replace("://", "+psycopg://"))
        grant_results(metadata, f"db+{results}")

    backend = DatabaseBackend(dburi=results.replace("://", "+psycopg://"), app=Celery())
    backend.store_result("first", "done", "SUCCESS")
    assert backend.get_result("first") == "done"
    backend.store_result("first", "again", "SUCCESS")
    backend.forget("first")
    assert not connects(url(server, "results", "equipoise"))
    with psycopg.connect(results, autocommit=True) as connection:
        for refused in (
            "SELECT * FROM approvals_of_airflow",
            "INSERT INTO approvals_of_airflow VALUES ('approve')",
            "DROP TABLE celery_taskmeta",
            "TRUNCATE celery_taskmeta",
            "CREATE TABLE other (x INT)",
            "SET ROLE airflow",
        ):
            with pytest.raises(psycopg.Error, match=r"permission denied|must be owner"):
                connection.execute(refused)


def test_results_of_the_metadatas_own_login_need_no_other(server: Server) -> None:
    metadata = url(server, "airflow", "airflow")
    predictions = url(server, "pipeline", "equipoise")
    make_databases(server.url, metadata, predictions, results_url=metadata)
    grant_results(metadata, metadata)
    assert connects(metadata)


@pytest.mark.parametrize(
    ("name", "database", "said"),
    [
        ("pipeline", "airflow", "share a login"),
        ("results", "equipoise", "in another database"),
        ("results", "results", "in another database"),
    ],
)
def test_results_elsewhere_or_of_another_ones_login_are_refused(
    server: Server, name: str, database: str, said: str
) -> None:
    addresses = (url(server, "airflow", "airflow"), url(server, "pipeline", "equipoise"))
    with pytest.raises(DatabaseUnavailable, match=said):
        make_databases(server.url, *addresses, results_url=url(server, name, database))


def test_a_login_is_read_from_either_kind_of_url() -> None:
    expected = Login("ada", "a b", "tables")
    assert login_of("postgresql+psycopg2://ada:a%20b@db:5433/tables", "x") == expected
    assert login_of("db+postgresql://ada:a%20b@db/tables", "x") == expected
    assert login_of("host=db user=ada password='a b' dbname=tables", "x") == expected


@pytest.mark.parametrize("wrong", ["postgresql://db/tables", "sqlite:///x.db", "sesame"])
def test_a_url_without_a_login_is_refused_and_not_said(wrong: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="names no login") as refused:
        login_of(wrong, "metadata")
    assert wrong not in str(refused.value)


def test_a_server_that_is_away_is_waited_for_and_then_told_without_its_password() -> None:
    address = f"postgresql://postgres:sesame@{HOST}:{free_port()}/postgres"
    with pytest.raises(DatabaseUnavailable, match="OperationalError") as refused:
        wait_for(address, seconds=0)
    assert "sesame" not in str(refused.value)


def test_the_tasks_login_may_neither_verify_nor_erase_nor_see_who_read(server: Server) -> None:
    make(server)
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute("GRANT equipoise_auditor, equipoise_eraser TO pipeline")
    make(server)
    with psycopg.connect(server.url) as admin:
        granted = (
            "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = 'pipeline'::regrole"
        )
        found = {name for (name,) in admin.execute(granted)}
    assert found == {"equipoise_writer", "equipoise_analyst"}


def test_the_login_of_the_backup_reads_all_of_its_database_and_changes_nothing(
    server: Server,
) -> None:
    addresses = (url(server, "airflow", "airflow"), url(server, "pipeline", "equipoise"))
    backup = url(server, "backup", "equipoise")
    make_databases(server.url, *addresses, backup)
    assert not connects(url(server, "backup", "airflow"))
    with psycopg.connect(backup, autocommit=True) as connection:
        connection.execute("SELECT * FROM equipoise.predictions, equipoise.event_log")
        for refused in (
            "DELETE FROM equipoise.predictions",
            "INSERT INTO equipoise.study_grants VALUES ('backup', '*')",
            "SET ROLE equipoise_owner",
            "CREATE ROLE other",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused)
    with pytest.raises(DatabaseUnavailable, match="share a login"):
        make_databases(server.url, *addresses, url(server, "pipeline", "equipoise"))
