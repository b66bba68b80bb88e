"""An installation of either store, for publishers that are processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.publication.postgres_setup import set_up
from tests.faults.publishers import Installation
from tests.publication.servers import any_server, database, pipeline_login


@pytest.fixture(scope="session")
def pg_url() -> Iterator[str]:
    """A superuser's URL of a server that the session's tests share."""
    with any_server() as url:
        yield url


@pytest.fixture(params=["duckdb", "postgres"])
def installation(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
    if request.param == "duckdb":
        yield Installation(str(tmp_path), "")
        return
    with database(request.getfixturevalue("pg_url")) as admin_url:
        set_up(admin_url)
        url = pipeline_login(admin_url)
        monkeypatch.setenv("EQUIPOISE_DATABASE_URL", url)
        yield Installation(str(tmp_path), url)
