"""An installation of its own for whoever answers by command."""

from pathlib import Path

import pytest

from tests.pipelines.asked_people import Command


@pytest.fixture
def equipoise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    monkeypatch.setenv("EQUIPOISE_PERSON", "Tess")
    return Command(monkeypatch, capsys)
