"""What a backup takes from the home, of which moment it is, and what a restore makes one again."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines.backup import back_up
from pipelines.backup_files import Listed
from pipelines.cli import app
from pipelines.publication.crosswalk import read_crosswalk, write_crosswalk
from pipelines.publication.database_copy import copy_database
from pipelines.publication.erasure import erase
from pipelines.publication.store import open_store
from pipelines.releases import record_release
from pipelines.restore import restore
from pipelines.settings import Settings, settings
from pipelines.stage import store as artefacts
from tests.pipelines.publication_examples import STUDY, predictions, publication, release

CANARY = "postgresql://postgres:canary-5f1c@host/metadata"
PAIRS = pl.DataFrame({"subject_id": [1, 2, 3, 4], "source_id": list("abcd")})
KINDS: dict[str, Literal["records", "secrets"]] = {"backup": "records", "keys": "secrets"}


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An embedded one that published four people."""
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
    write_crosswalk(STUDY, PAIRS, settings())
    record_release(STUDY, release())
    open_store(settings()).publish(publication(1), predictions(1))
    return settings()


def test_what_is_no_record_of_ours_is_not_copied(installation: Settings, tmp_path: Path) -> None:
    """A cluster may keep its secrets in the home: a backup without secrets holds none of them."""
    for name in ("cluster/secrets/superuser_url", "notes/url", "secrets/more/url", "url"):
        (installation.home / name).parent.mkdir(parents=True, exist_ok=True)
        (installation.home / name).write_text(CANARY)
    said = CliRunner().invoke(app, ["backup", str(tmp_path / "backup")])
    assert said.exit_code == 0, said.output
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]
    copied = {path.name for path in (tmp_path / "backup" / "records").iterdir()}
    assert copied == {"releases"}


@pytest.mark.parametrize("with_artefacts", [True, False])
def test_what_trials_know_of_one_another_is_a_record(
    installation: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_artefacts: bool
) -> None:
    journal = installation.tunings_dir / "0123456789abcdef" / "trials.journal"
    (journal.parent / "trial_00001").mkdir(parents=True)
    journal.write_text("{}")
    backup = tmp_path / "backup"
    back_up(backup, artefacts(), installation, secrets=None, with_artefacts=with_artefacts)
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "new"))
    restore(backup, settings(), secrets=None)
    restored = settings().tunings_dir / journal.parent.name
    assert [path.name for path in restored.iterdir()] == [journal.name]
    assert (restored / journal.name).read_text() == "{}"


def during_the_database(
    monkeypatch: pytest.MonkeyPatch, *, before: bool, act: Callable[[], object]
) -> None:
    """Let something happen right before, or right after, the database is copied."""

    def with_it(folder: Path, installation: Settings) -> object:
        if before:
            act()
        answer = copy_database(folder, installation)
        if not before:
            act()
        return answer

    monkeypatch.setattr("pipelines.backup.copy_database", with_it)


def test_who_was_erased_after_the_database_was_copied_was_erased_after_the_backups_moment(
    installation: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So whoever erases again all that were erased since then does not pass over them."""
    moments: list[datetime] = []

    def act() -> None:
        moments.append(datetime.now(UTC))
        erase(STUDY, "b", "Art. 17", "Grace", installation)

    during_the_database(monkeypatch, before=False, act=act)
    began = datetime.now(UTC)
    back_up(tmp_path / "backup", artefacts(), installation, secrets=tmp_path / "keys")
    for name, holds in KINDS.items():
        assert began <= Listed.read(tmp_path / name, holds).made_at < moments[0]


def test_who_was_erased_between_crosswalk_and_database_is_forgotten_by_the_restored_crosswalk(
    installation: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act() -> None:
        erase(STUDY, "b", "Art. 17", "Grace", installation)

    during_the_database(monkeypatch, before=True, act=act)
    back_up(tmp_path / "backup", artefacts(), installation, secrets=tmp_path / "keys")
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "new"))

    done = restore(tmp_path / "backup", settings(), secrets=tmp_path / "keys")

    assert done.half_erased == 1
    assert read_crosswalk(STUDY, settings())["source_id"].to_list() == list("acd")
    write_crosswalk(STUDY, PAIRS, settings())  # the source names them still
    assert read_crosswalk(STUDY, settings())["source_id"].to_list() == list("acd")


@pytest.mark.parametrize("standing", ["none", "empty", "another's"])
def test_studies_come_back_where_none_stand_and_else_it_is_told_which_differ(
    installation: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standing: str
) -> None:
    lost, folder = tmp_path / "lost", tmp_path / "studies"
    lost.mkdir()
    for name, text in (("ours.yaml", "title: ours"), ("same.yaml", "title: same")):
        (lost / name).write_text(text)
    (lost / "sectors.csv").write_text("a source file")
    (lost / "gone.yaml").symlink_to("nowhere")
    (lost / ".#ours.yaml").symlink_to("somebody@somewhere.1")  # an editor's lock
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(lost))
    back_up(tmp_path / "backup", artefacts(), settings(), secrets=None)
    assert sorted(path.name for path in (tmp_path / "backup" / "studies").iterdir()) == [
        "ours.yaml",
        "same.yaml",
    ]
    if standing != "none":
        folder.mkdir()
    if standing == "another's":
        (folder / "ours.yaml").write_text("title: another's")
        (folder / "same.yaml").write_text("title: same")
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(folder))
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "new"))

    said = CliRunner().invoke(app, ["restore", str(tmp_path / "backup")])

    assert said.exit_code == 0, said.output
    is_told = f"not the backup's, left as it was found: {folder / 'ours.yaml'}" in said.output
    assert is_told == (standing == "another's")
    assert str(folder / "same.yaml") not in said.output
    title = "title: another's" if is_told else "title: ours"
    assert (folder / "ours.yaml").read_text() == title
