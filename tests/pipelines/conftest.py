"""An installation of its own for whoever answers by command, and a ward of one's own files."""

from pathlib import Path

import polars as pl
import pytest

from tests.pipelines.asked_people import Command
from tests.pipelines.ward_examples import CHART, STAYS


@pytest.fixture
def equipoise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    monkeypatch.setenv("EQUIPOISE_PERSON", "Tess")
    return Command(monkeypatch, capsys)


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
