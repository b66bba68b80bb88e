"""The pseudonym key rotates: who is known keeps the pseudonym, and either key is whole."""

import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines import cli_keys, pseudonyms
from pipelines.durable import rename_into_place
from pipelines.errors import SecretMissing, SourceInvalid
from pipelines.journal import JournalEntry, append_entry
from pipelines.pseudonyms import (
    PUBLISHED_KEY,
    key_fingerprint,
    pseudonym_key,
    retired_keys,
)
from pipelines.publication import known_names
from pipelines.publication.crosswalk import forget_pair, read_crosswalk, write_crosswalk
from pipelines.publication.key_rotation import rotate_key
from pipelines.publication.known_names import first_key, pseudonymiser
from pipelines.publication.tombstones import subject_hash, tombstone_key
from pipelines.settings import settings

STUDY = "ward"
BEFORE = pl.Series(["ada", "bob", "cem"])
LATER = pl.Series(["bob", "ada", "dora", "cem"])


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    return tmp_path


def key() -> bytes:
    return pseudonym_key(records_are_public=False)


def named(names: pl.Series) -> list[int]:
    return pseudonymiser(STUDY, key())(names).to_list()


def ingested(names: pl.Series = BEFORE) -> list[int]:
    """As ``ingest_events`` does: names get pseudonyms, the crosswalk is written."""
    numbers = named(names)
    write_crosswalk(STUDY, pl.DataFrame({"subject_id": numbers, "source_id": names}), settings())
    return numbers


def test_who_is_known_keeps_the_pseudonym_and_who_comes_later_gets_one_of_the_new_key() -> None:
    old = key()
    ada, bob, cem = ingested()
    rotation = rotate_key(settings())
    new = key()

    assert old != new
    assert named(LATER) == [bob, ada, pseudonyms.pseudonyms(LATER, new)[2], cem]
    assert [ada, bob, cem] == pseudonyms.pseudonyms(BEFORE, old).to_list()
    assert rotation.kept == {STUDY: 3}
    assert (rotation.retired, rotation.current) == (key_fingerprint(old), key_fingerprint(new))
    assert retired_keys() == (key_fingerprint(old),)


def test_the_old_key_is_nowhere_after_the_rotation(home: Path) -> None:
    old = key()
    ingested()
    rotate_key(settings())

    files = [file for file in home.rglob("*") if file.is_file()]
    assert len(files) > 4
    assert not any(old in file.read_bytes() or old.hex() in str(file) for file in files)


def test_names_stay_known_over_many_rotations_and_so_does_what_a_recipe_says() -> None:
    first = key_fingerprint(key())
    numbers = ingested()
    for _ in range(3):
        rotate_key(settings())
        assert named(BEFORE) == numbers
        assert first_key(STUDY, key()) == first
        assert first_key("another", key()) == key_fingerprint(key())
    assert len(retired_keys()) == 3


def test_an_erased_person_who_stands_in_the_source_again_stays_erased() -> None:
    ada, bob, cem = ingested()
    forget_pair(STUDY, bob, subject_hash(STUDY, bob), settings())
    lent = tombstone_key(STUDY)
    rotate_key(settings())

    assert ingested() == [ada, bob, cem]
    assert read_crosswalk(STUDY, settings())["source_id"].to_list() == sorted(
        ["ada", "cem"], key={"ada": ada, "cem": cem}.__getitem__
    )
    assert tombstone_key(STUDY) == lent


def test_names_of_public_records_are_not_kept_and_their_key_stays(home: Path) -> None:
    numbers = pseudonymiser(STUDY, PUBLISHED_KEY)(BEFORE)
    write_crosswalk(STUDY, pl.DataFrame({"subject_id": numbers, "source_id": BEFORE}), settings())
    key()
    rotate_key(settings())

    assert pseudonymiser(STUDY, PUBLISHED_KEY)(BEFORE).equals(numbers)
    assert first_key(STUDY, PUBLISHED_KEY) == key_fingerprint(PUBLISHED_KEY)
    assert not list(home.rglob("*.names"))


def test_no_name_is_in_what_is_kept_and_only_its_owner_reads_it(home: Path) -> None:
    before = os.umask(0)
    try:
        ingested()
    finally:
        os.umask(before)
    rotate_key(settings())

    (file,) = home.rglob("*.names")
    assert set(pl.read_parquet(file).columns) == {"name_hash", "pseudonym", "key"}
    assert not any(name.encode() in file.read_bytes() for name in BEFORE)
    secret = [each for each in (home / "secrets").rglob("*") if each.is_file()]
    assert {each.name for each in secret} == {
        *("pseudonym.key", "pseudonym.retired", f"{STUDY}.key", ".lock")
    }
    modes = {stat.S_IMODE(each.stat().st_mode) for each in [file, *secret]}
    assert modes == {0o600}
    folders = {each.parent for each in [file, *secret]}
    assert {stat.S_IMODE(each.stat().st_mode) for each in folders} == {0o700}


def test_two_ingestions_at_once_under_two_keys_come_to_the_same_pseudonyms() -> None:
    old = key()
    rotate_key(settings())
    with ThreadPoolExecutor(8) as pool:
        keys = [old, key()] * 8
        found = list(pool.map(lambda each: pseudonymiser(STUDY, each)(BEFORE).to_list(), keys))

    assert len({tuple(numbers) for numbers in found}) == 1


def test_a_new_pseudonym_that_another_name_has_is_refused_and_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = ingested()
    rotate_key(settings())
    with monkeypatch.context() as patch:
        taken = lambda names, _: pl.Series([numbers[0]] * len(names))  # noqa: E731 - 2^-63 by chance
        patch.setattr(known_names, "pseudonyms", taken)
        with pytest.raises(SourceInvalid, match="share a pseudonym"):
            named(LATER)

    assert named(LATER)[2] not in numbers


@pytest.mark.parametrize("lost", ["*.names", "tombstones/*.key"])
def test_what_made_the_old_pseudonyms_is_not_made_anew_once_the_key_was_rotated(
    home: Path, lost: str
) -> None:
    ingested()
    append_entry(JournalEntry(STUDY, "ingest_events", "ingest_events/00", True, 1.0, {}))
    rotate_key(settings())
    (file,) = home.rglob(lost)
    file.unlink()

    with pytest.raises(SecretMissing, match="gone"):
        named(BEFORE)


def test_a_study_whose_names_an_older_version_did_not_keep_stops_the_rotation(home: Path) -> None:
    numbers = ingested()
    old = key()
    (file,) = home.rglob("*.names")
    file.unlink()
    with pytest.raises(SecretMissing, match=f"3 subjects of {STUDY}"):
        rotate_key(settings())

    assert key() == old
    assert ingested() == numbers
    rotate_key(settings())
    assert named(BEFORE) == numbers


def test_without_a_key_there_is_nothing_to_rotate(home: Path) -> None:
    with pytest.raises(SecretMissing, match="no pseudonym key"):
        rotate_key(settings())
    assert not (home / "secrets").exists()


@pytest.mark.parametrize("survived", [0, 1])
def test_a_rotation_that_stops_between_its_two_files_leaves_the_old_key_whole(
    monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    numbers, old, left = ingested(), key(), [survived]
    done = rename_into_place

    def stops(draft: Path, target: Path, mode: int) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        done(draft, target, mode)

    with monkeypatch.context() as patch:
        patch.setattr(pseudonyms, "rename_into_place", stops)
        with pytest.raises(KeyboardInterrupt):
            rotate_key(settings())

    assert key() == old
    assert retired_keys() == ()
    rotate_key(settings())
    assert named(BEFORE) == numbers
    assert retired_keys() == (key_fingerprint(old),)


ROTATING = """
from pipelines.publication.key_rotation import rotate_key
from pipelines.settings import settings
while True:
    print(rotate_key(settings()).current, flush=True)
"""


@pytest.mark.faults
def test_killed_while_it_rotates_either_key_is_whole_and_every_pseudonym_stays() -> None:
    numbers = ingested()
    for trial in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", ROTATING],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.003 * trial)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert len(key()) == 32
        assert named(BEFORE) == numbers
    assert len(retired_keys()) >= 4


def test_the_command_tells_what_was_kept_and_no_key() -> None:
    ingested()
    old = key()
    done = CliRunner().invoke(cli_keys.app)

    assert done.exit_code == 0
    assert f"kept: 3 subjects of {STUDY}" in done.output
    assert key_fingerprint(old) in done.output
    assert key_fingerprint(key()) in done.output
    assert not {old.hex(), key().hex()} & set(done.output.split())
