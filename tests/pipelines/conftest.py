"""Installations, a store that machines share, and a ward of one's own files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from pipelines.artefacts import ArtefactStore
from pipelines.remote_artefacts import RemoteArtefacts
from pipelines.settings import Settings, settings
from tests.pipelines.asked_people import Command
from tests.pipelines.s3_server import S3Server, running_server, use_server
from tests.pipelines.ward_examples import CHART, STAYS


@pytest.fixture
def equipoise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """An installation of its own for whoever answers by command."""
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    monkeypatch.setenv("EQUIPOISE_PERSON", "Tess")
    return Command(monkeypatch, capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation of its own that nobody has used: the folder is there and empty."""
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    for name in ("EQUIPOISE_DATABASE_URL", "EQUIPOISE_DATABASE_URL_FILE", "EQUIPOISE_WEB_PORT"):
        monkeypatch.delenv(name, raising=False)
    settings().home.mkdir()
    return settings()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 protocol server; each test has a bucket of its own."""
    with running_server(tmp_path_factory.mktemp("s3") / "log") as running:
        yield running


@pytest.fixture
def s3_url(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty store on the server."""
    use_server(monkeypatch, server)
    return f"s3://{server.new_bucket()}/pre/fix"


@pytest.fixture(params=["s3", "file"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store that the machines share: on the server, or a folder."""
    if request.param == "file":
        return f"file://{tmp_path / 'shared'}"
    return str(request.getfixturevalue("s3_url"))


@pytest.fixture
def machine(tmp_path: Path, shared_url: str) -> Callable[[str], ArtefactStore]:
    """The machine of a name, with a folder of its own and the shared store."""
    return lambda name: ArtefactStore(tmp_path / name, RemoteArtefacts(shared_url))


@pytest.fixture(params=["parquet", "csv"])
def ward(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same ward as Parquet and as CSV; returns the format."""
    folder = tmp_path / "ward"
    folder.mkdir()
    kind = str(request.param)
    chart = pl.DataFrame(CHART, schema=["stay", "minute", "what", "value"], orient="row")
    for name, frame in {"stays": pl.DataFrame(STAYS), "chart": chart}.items():
        file = folder / f"{name}.{kind}"
        frame.write_parquet(file) if kind == "parquet" else frame.write_csv(file)
    monkeypatch.setenv("EQUIPOISE_DATA", str(tmp_path))
    return kind
