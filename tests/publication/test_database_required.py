"""Where predictions stand in a server, a process without its login refuses; it sees no empty file.

A cluster's services share one home, and only some of them are given the login.
"""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.doctor.clock import clock
from pipelines.doctor.database import database_rights
from pipelines.errors import DatabaseUnavailable
from pipelines.publication.store import open_store
from pipelines.releases import current_release, record_release
from pipelines.settings import settings
from tests.dags.installations import study_text, write_studies
from tests.pipelines.publication_examples import STUDY, predictions, publication, release

DECIDED = ("--reason", "wrong units", "--as", "Grace")


@pytest.fixture(autouse=True)
def _without_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release and a publication stand; then the login is asked for, and there is none."""
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    studies = write_studies(tmp_path / "studies", **{STUDY: study_text()})
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(studies))
    for name in ("EQUIPOISE_DATABASE_URL", "EQUIPOISE_DATABASE_URL_FILE", "EQUIPOISE_RUN"):
        monkeypatch.delenv(name, raising=False)
    record_release(STUDY, release())
    open_store(settings()).publish(publication(1), predictions(1))
    monkeypatch.setenv("EQUIPOISE_DATABASE_REQUIRED", "1")


@pytest.mark.parametrize(
    "command",
    [
        ("withdraw", STUDY, *DECIDED),
        ("approve", STUDY, *DECIDED),
        ("reinstate", STUDY, "a generation", *DECIDED),
        ("show", STUDY),
        ("why", STUDY, "1"),
        ("run", STUDY),
        ("verify",),
        ("reads",),
        ("prune",),
        ("prune", "--yes"),
        ("backup", "backup"),
        ("database", "setup"),
    ],
    ids=lambda words: " ".join(words[:1] + words[-1:]),
)
def test_a_command_that_needs_predictions_names_where_to_call_it_and_does_nothing(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    standing = current_release(STUDY)
    said = CliRunner().invoke(app, command)
    assert isinstance(said.exception, DatabaseUnavailable)
    assert "docker compose exec worker-cpu equipoise" in said.exception.remedy
    assert said.output == ""
    assert current_release(STUDY) == standing
    monkeypatch.delenv("EQUIPOISE_DATABASE_REQUIRED")
    assert [one.state for one in open_store(settings()).list_generations(STUDY)] == ["published"]


@pytest.mark.parametrize(
    "command",
    [("studies",), ("approvals",), ("explain", STUDY), ("report", STUDY)],
    ids=lambda words: words[0],
)
def test_what_asks_for_no_prediction_needs_no_login(command: tuple[str, ...]) -> None:
    said = CliRunner().invoke(app, command)
    assert not isinstance(said.exception, DatabaseUnavailable), said.exception


def test_the_doctor_fails_where_there_is_no_login_and_its_clock_is_compared_all_the_same() -> None:
    found = database_rights(settings())
    assert found.state == "fail"
    assert "no login" in found.words
    assert "worker-cpu" in found.remedy
    assert clock(settings()).state == "ok"


def test_a_file_of_an_url_that_is_empty_is_no_embedded_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EQUIPOISE_DATABASE_REQUIRED")
    (tmp_path / "url").touch(mode=0o600)
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL_FILE", str(tmp_path / "url"))
    with pytest.raises(DatabaseUnavailable):
        open_store(settings())
