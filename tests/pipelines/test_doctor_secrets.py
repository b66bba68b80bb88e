"""The doctor and the secrets: what is gone, what others may open, what a first run leaves."""

import os
import stat
from collections.abc import Callable

import polars as pl
import pytest

from pipelines.doctor.folders import secrets
from pipelines.durable import only_writer, private_folder
from pipelines.pseudonyms import pseudonym_key, replace_key
from pipelines.publication.crosswalk import forget_pair, write_crosswalk
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.known_names import pseudonymiser
from pipelines.publication.tombstones import subject_hash
from pipelines.publication.writer import open_writer
from pipelines.settings import Settings
from tests.pipelines.test_doctor import is_told


def _a_key_for_all(home: Settings, patch: pytest.MonkeyPatch) -> None:
    home.secrets_dir.mkdir(mode=0o700)
    (home.secrets_dir / "pseudonym.key").touch(0o640)
    (home.secrets_dir / "pseudonym.key").chmod(0o640)


def _a_folder_for_all(home: Settings, patch: pytest.MonkeyPatch) -> None:
    home.secrets_dir.mkdir()
    home.secrets_dir.chmod(0o755)


def _known(home: Settings, *, gone: str) -> None:
    """A person known by a pseudonym, as a run leaves it; then one of the keys is gone."""
    key = pseudonym_key(records_are_public=False)
    pseudonymiser("toy", key)(pl.Series(["Ada"]))
    assert secrets(home).state == "ok"
    (home.secrets_dir / gone).unlink()


def _a_pseudonym_key_that_is_gone(home: Settings, patch: pytest.MonkeyPatch) -> None:
    _known(home, gone="pseudonym.key")
    assert (home.secrets_dir / "tombstones" / "toy.key").exists()


def _a_studys_key_that_is_gone(home: Settings, patch: pytest.MonkeyPatch) -> None:
    _known(home, gone="tombstones/toy.key")


def _an_erased_persons_key_that_is_gone(home: Settings, patch: pytest.MonkeyPatch) -> None:
    forget_pair("public", 7, subject_hash("public", 7), home)
    assert secrets(home).state == "ok"
    (home.secrets_dir / "tombstones" / "public.key").unlink()


def _a_rotated_key_that_is_gone(home: Settings, patch: pytest.MonkeyPatch) -> None:
    pseudonym_key(records_are_public=False)
    replace_key()
    assert secrets(home).state == "ok"
    (home.secrets_dir / "pseudonym.key").unlink()


def _a_url_that_is_gone(home: Settings, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("EQUIPOISE_DATABASE_URL_FILE", str(home.home / "nowhere"))


@pytest.mark.parametrize(
    "spoil",
    [
        *(_a_key_for_all, _a_folder_for_all, _a_url_that_is_gone, _a_pseudonym_key_that_is_gone),
        *(_a_studys_key_that_is_gone, _an_erased_persons_key_that_is_gone),
        _a_rotated_key_that_is_gone,
    ],
)
def test_a_secret_that_is_gone_or_open_to_others(
    home: Settings,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Settings, pytest.MonkeyPatch], None],
) -> None:
    assert secrets(home).state == "ok"
    spoil(home, monkeypatch)
    is_told(secrets(home))


def test_keys_of_public_records_are_nobodys_and_none_is_missed(home: Settings) -> None:
    write_crosswalk("public", pl.DataFrame({"subject_id": [7], "source_id": ["a"]}), home)
    assert not home.secrets_dir.exists()
    assert secrets(home).state == "ok"


def test_after_a_first_run_the_locks_too_are_their_owners_alone(home: Settings) -> None:
    before = os.umask(0o022)
    try:
        write_crosswalk("toy", pl.DataFrame({"subject_id": [7], "source_id": ["a"]}), home)
        pseudonymiser("toy", pseudonym_key(records_are_public=False))(pl.Series(["Ada"]))
        with open_writer(PublicationFolders(home.publication_dir), 1.0):
            pass
    finally:
        os.umask(before)
    locks = sorted(file for file in home.home.rglob("*.lock") if file.is_file())

    assert len(locks) >= 4
    assert {stat.S_IMODE(file.stat().st_mode) for file in locks} == {0o600}
    assert secrets(home).state == "ok"


def test_a_lock_of_before_that_others_may_open_is_narrowed_when_it_is_held(home: Settings) -> None:
    private_folder(home.secrets_dir)
    lock_file = home.secrets_dir / ".lock"
    lock_file.touch()
    lock_file.chmod(0o644)
    assert secrets(home).state == "fail"
    with only_writer(lock_file, 0.0):
        assert secrets(home).state == "ok"


def test_a_password_in_the_environment_is_a_warning_and_is_not_said(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", "postgresql://ada:canary-password@nowhere/x")
    is_told(secrets(home), "holds a password", state="warn")
    assert "canary" not in str(secrets(home))
