"""The doctor at a real server: the login's rights, too few and too many, and the two clocks."""

import psycopg
import pytest

from pipelines.doctor.clock import clock
from pipelines.doctor.database import database_rights
from pipelines.settings import settings
from tests.publication.servers import database, login, pipeline_login


@pytest.fixture
def url(admin_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> str:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    return admin_url


def finding(url: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", url)
    found = database_rights(settings())
    assert bool(found.remedy) == (found.state == "fail")
    return found.state, found.words


def test_the_pipelines_login_has_what_it_needs_and_no_more(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finding(pipeline_login(url), monkeypatch)[0] == "ok"
    assert clock(settings()).state == "ok"
    assert "database" in clock(settings()).words


def test_a_login_that_cannot_publish(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only_reads = login(url, "equipoise_test_reader", "equipoise_analyst")
    state, words = finding(only_reads, monkeypatch)
    assert state == "fail"
    assert "lacks" in words


@pytest.mark.parametrize(
    ("name", "grant", "said"),
    [
        ("one", "ALTER ROLE {} BYPASSRLS", "row-level security"),
        ("two", "GRANT equipoise_owner TO {}", "member of equipoise_owner"),
        ("three", "GRANT UPDATE ON equipoise.audits TO {}", "UPDATE on audits"),
    ],
)
def test_a_login_that_may_too_much(
    url: str, monkeypatch: pytest.MonkeyPatch, name: str, grant: str, said: str
) -> None:
    strong = login(url, f"equipoise_test_{name}", "equipoise_writer")
    try:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(grant.format(f"equipoise_test_{name}").encode())
        state, words = finding(strong, monkeypatch)
        assert state == "fail"
        assert said in words
    finally:
        with psycopg.connect(url, autocommit=True) as admin:
            for words in ("DROP OWNED BY {}", "DROP ROLE {}"):
                admin.execute(words.format(f"equipoise_test_{name}").encode())


def test_a_superuser_is_no_login_for_a_pipeline(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    state, words = finding(url, monkeypatch)
    assert state == "fail"
    assert "superuser" in words


def test_a_database_without_a_publication(
    server_url: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database(server_url) as empty:
        state, words = finding(empty, monkeypatch)
    assert state == "fail"
    assert "no publication" in words
