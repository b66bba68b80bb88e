"""A restore that ended in the middle: nobody uses its home, and a second call ends well."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines.artefacts import Recipe
from pipelines.backup import back_up
from pipelines.backup_files import place_file
from pipelines.cli import app
from pipelines.errors import BackupInvalid, StoreLocked
from pipelines.pseudonyms import pseudonym_key
from pipelines.publication.crosswalk import read_crosswalk, write_crosswalk
from pipelines.publication.store import open_store
from pipelines.releases import current_release, record_release
from pipelines.restore import restore
from pipelines.settings import settings
from pipelines.stage import store as artefacts
from tests.pipelines.publication_examples import STUDY, predictions, publication, release
from tests.publication.servers import database, pipeline_login

pytestmark = pytest.mark.usefixtures("client_programs")

PAIRS = pl.DataFrame({"subject_id": [1, 2, 3, 4], "source_id": list("abcd")})
STEPS = ("place_database", "finish_erasures", "_verify")


@pytest.fixture(params=["duckdb", "postgres"])
def backup(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Of who has studies, a key, a crosswalk, artefacts and an erased person; and a new home."""
    (tmp_path / "lost studies").mkdir()
    for name in ("first.yaml", "second.yaml"):
        (tmp_path / "lost studies" / name).write_text(f"title: {name}")
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "lost"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "lost studies"))
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
    if request.param == "duckdb":
        live()
        yield backed_up(tmp_path, monkeypatch)
        return
    admin_url = request.getfixturevalue("admin_url")
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", pipeline_login(admin_url))
    live()
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", admin_url)
    folder = backed_up(tmp_path, monkeypatch)
    with database(request.getfixturevalue("server_url")) as empty:
        monkeypatch.setenv("EQUIPOISE_DATABASE_URL", empty)
        yield folder


def live() -> None:
    pseudonym_key(records_are_public=False)
    write_crosswalk(STUDY, PAIRS, settings())
    record_release(STUDY, release())
    open_store(settings()).publish(publication(1), predictions(1))
    # Its pair stays, as when an erasure is killed: a restore is to forget it.
    open_store(settings()).erase_subject(STUDY, 3, "Art. 17", "Grace")
    model = artefacts().make(Recipe("train_model", {}, {}, {}, {}, {}), write_table).key
    artefacts().make(Recipe("audit_model", {}, {}, {}, {"model": model}, {}), write_table)


def write_table(draft: Path) -> dict[str, int]:
    (draft / "table").write_bytes(b"\x00" * 1000)
    return {}


def backed_up(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    back_up(folder / "backup", artefacts(), settings(), secrets=folder / "keys")
    patch.setenv("EQUIPOISE_HOME", str(folder / "home"))
    patch.setenv("EQUIPOISE_STUDIES", str(folder / "studies"))
    return folder / "backup"


def full_at(name: str, patch: pytest.MonkeyPatch) -> None:
    """The disk is full when a file of this name, or any of a folder of it, is placed."""

    def place(source: Path, target: Path) -> None:
        if name in target.parts:
            target.with_name(f".draft-{target.name}").write_text("ha")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        place_file(source, target)

    patch.setattr("pipelines.restore.place_file", place)
    patch.setattr("pipelines.backup_studies.place_file", place)


def die_at(name: str, patch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise BackupInvalid("It died.", where=name, remedy="None.")

    patch.setattr(f"pipelines.restore.{name}", die)


def restore_in_vain(backup: Path, dies: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        (die_at if dies in STEPS else full_at)(dies, patch)
        with pytest.raises(BackupInvalid):
            restore(backup, settings(), secrets=backup.parent / "keys")


def is_whole(backup: Path) -> bool:
    """Everything that the lost home and its store would answer."""
    lost, home = backup.parent / "lost", settings().home
    key = Path("secrets", "pseudonym.key")
    assert (home / key).read_bytes() == (lost / key).read_bytes()
    assert read_crosswalk(STUDY, settings())["source_id"].to_list() == list("abd")
    assert current_release(STUDY) is not None
    for stage in ("train_model", "audit_model"):
        assert [artefacts().open(key) for key in artefacts().keys(stage)]
    assert open_store(settings()).verify() == ()
    shown = open_store(settings()).read_current(STUDY)
    studies = sorted(path.name for path in settings().studies_dir.iterdir())
    return set(shown["subject_id"]) == {1, 2, 4} and studies == ["first.yaml", "second.yaml"]


def test_of_two_restores_into_one_home_the_second_is_refused_and_disturbs_nothing(
    backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[str]()

    def another_comes(source: Path, target: Path) -> None:
        if not told:
            with pytest.raises(StoreLocked, match="Another process") as refused:
                restore(backup, settings(), secrets=backup.parent / "keys")
            told.append(str(refused.value))
        place_file(source, target)

    monkeypatch.setattr("pipelines.restore.place_file", another_comes)
    restore(backup, settings(), secrets=backup.parent / "keys")
    assert str(settings().home) in told[0]
    assert is_whole(backup)


@pytest.mark.parametrize(
    "dies",
    [
        "pseudonym.key",
        "crosswalk",
        "releases",
        "train_model",
        "second.yaml",
        *STEPS,
    ],
)
def test_what_ended_in_the_middle_is_no_installation_and_is_restored_again(
    backup: Path, dies: str
) -> None:
    restore_in_vain(backup, dies)

    with pytest.raises(BackupInvalid, match="call equipoise restore again"):
        open_store(settings())
    for public in (True, False):
        with pytest.raises(BackupInvalid, match="did not end"):
            pseudonym_key(records_are_public=public)
    said = CliRunner().invoke(app, ["verify"])
    assert isinstance(said.exception, BackupInvalid)

    done = restore(backup, settings(), secrets=backup.parent / "keys")
    assert done.left == ()
    assert not (settings().home / "restoring").exists()
    assert not list(settings().home.rglob(".draft-*"))
    assert is_whole(backup)
    receipt = open_store(settings()).publish(publication(2, day=9), predictions(2))
    assert receipt.left_out == 1


@pytest.mark.parametrize("dies", ["train_model", "second.yaml", "place_database"])
def test_keys_and_crosswalk_are_there_before_what_they_open_and_the_database_is_last(
    backup: Path, dies: str
) -> None:
    restore_in_vain(backup, dies)
    home = settings().home
    assert (home / "secrets" / "pseudonym.key").is_file()
    assert list((home / "publication" / "private" / "crosswalk").iterdir())
    assert (home / "restoring").stat().st_mode & 0o777 == 0o600
    assert not (home / "publication" / "private" / "writer.duckdb").exists()


@pytest.mark.parametrize("foreign", ["releases/mine", "secrets/pseudonym.key", "artefacts/mine"])
def test_another_file_is_in_the_way_of_a_second_call_too(backup: Path, foreign: str) -> None:
    restore_in_vain(backup, "train_model")
    file = settings().home / foreign
    file.unlink(missing_ok=True)
    file.write_text("mine")
    with pytest.raises(BackupInvalid) as refused:
        restore(backup, settings(), secrets=backup.parent / "keys")
    assert refused.value.where == str(file)
    assert file.read_text() == "mine"


def test_where_all_of_a_backup_lies_no_other_is_taken_for_it(backup: Path) -> None:
    restore_in_vain(backup, "_verify")
    with pytest.raises(BackupInvalid, match="of another backup"):
        restore(backup, settings(), secrets=None)
    restore(backup, settings(), secrets=backup.parent / "keys")
    assert is_whole(backup)
