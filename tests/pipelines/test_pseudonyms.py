"""The pseudonym key: made once and whole, private, and never replaced in silence."""

import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from pipelines.artefacts import ArtefactStore
from pipelines.errors import SecretMissing
from pipelines.pseudonyms import PUBLISHED_KEY, key_fingerprint, pseudonym_key, pseudonyms
from pipelines.publication.crosswalk import read_crosswalk
from pipelines.settings import settings
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.merge_events import merge_events, recipe_for

STUDY = "small"
STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture
def key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    return tmp_path / "secrets" / "pseudonym.key"


@pytest.fixture
def private_study(key_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The demonstration's study, as if its records were not public, without its large table."""
    lines = (STUDIES / "nafld_diabetes.yaml").read_text().splitlines()
    text = "\n".join(line for line in lines if "nafld2" not in line)
    studies = tmp_path / "studies"
    studies.mkdir()
    (studies / f"{STUDY}.yaml").write_text(text.replace("public: true", "public: false"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(studies))
    return STUDY


def made(study: str) -> str:
    return merge_events(study, [ingest_events(study)])


def share_found(key: str) -> float:
    path = ArtefactStore(settings().artefacts_dir).open(key) / "subjects.parquet"
    known = read_crosswalk(STUDY, settings())["subject_id"]
    share = pl.read_parquet(path)["subject_id"].is_in(known.implode()).mean()
    return float(share)  # type: ignore[arg-type]


def test_a_pseudonym_is_the_start_of_an_hmac() -> None:
    # HMAC-SHA256("Jefe", "what do ya want for nothing?") = 5bdcc146bf60754e… (RFC 4231, case 2)
    found = pseudonyms(pl.Series(["what do ya want for nothing?"]), b"Jefe")

    assert found.to_list() == [0x5BDCC146BF60754E >> 1]


def test_a_key_is_made_once_and_is_its_owners_alone(key_file: Path) -> None:
    before = os.umask(0)
    try:
        key = pseudonym_key(records_are_public=False)
    finally:
        os.umask(before)

    assert pseudonym_key(records_are_public=False) == key == key_file.read_bytes()
    assert len(key) == 32
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file.parent.stat().st_mode) == 0o700
    assert {file.name for file in key_file.parent.iterdir()} == {"pseudonym.key", ".lock"}


def test_makers_at_the_same_time_come_to_one_key(key_file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: pseudonym_key(records_are_public=False), range(16)))

    assert keys == {key_file.read_bytes()}


@pytest.mark.parametrize("leftover", ["pseudonym.key", ".draft-pseudonym.key"])
def test_what_a_killed_maker_left_does_not_block(key_file: Path, leftover: str) -> None:
    key_file.parent.mkdir()
    (key_file.parent / leftover).touch(mode=0o600)

    assert len(pseudonym_key(records_are_public=False)) == 32


@pytest.mark.parametrize("left", [None, b""])
def test_a_key_that_was_used_and_is_gone_is_not_replaced(
    key_file: Path, left: bytes | None
) -> None:
    if left is not None:
        key_file.parent.mkdir()
        key_file.write_bytes(left)

    with pytest.raises(SecretMissing, match="gone"):
        pseudonym_key(False, lambda: True)
    assert not key_file.exists() or key_file.stat().st_size == 0


@pytest.mark.parametrize(("size", "mode"), [(32, 0o640), (31, 0o600)])
def test_a_key_that_others_can_read_or_that_is_none_is_refused(
    key_file: Path, size: int, mode: int
) -> None:
    key_file.parent.mkdir()
    key_file.write_bytes(bytes(size))
    key_file.chmod(mode)

    with pytest.raises(SecretMissing, match="only its owner"):
        pseudonym_key(records_are_public=False)


def test_public_records_need_no_key_file(key_file: Path) -> None:
    assert pseudonym_key(records_are_public=True) == PUBLISHED_KEY
    assert not key_file.exists()


def test_a_lost_key_is_refused_while_tables_or_a_crosswalk_are_kept(
    private_study: str, key_file: Path
) -> None:
    key = made(private_study)
    recipe = recipe_for(private_study)
    assert recipe.files["pseudonym key"] == key_fingerprint(key_file.read_bytes())
    assert key_file.read_bytes().hex() not in str(recipe.as_dict())

    private = settings().publication_dir / "private"
    kept = key_file.read_bytes()
    key_file.unlink()
    with pytest.raises(SecretMissing):
        ingest_events(private_study)
    private.rename(private.with_name("elsewhere"))
    with pytest.raises(SecretMissing):
        ingest_events(private_study)
    settings().artefacts_dir.rename(settings().home / "elsewhere")
    private.with_name("elsewhere").rename(private)
    with pytest.raises(SecretMissing):
        ingest_events(private_study)
    assert not key_file.exists()

    key_file.write_bytes(kept)
    key_file.chmod(0o600)
    shutil.rmtree(private)
    (settings().home / "elsewhere").rename(settings().artefacts_dir)
    assert made(private_study) == key
    assert share_found(key) == 1.0


def test_another_key_makes_another_artefact_whose_crosswalk_fits(
    private_study: str, key_file: Path
) -> None:
    first = made(private_study)
    quarantine = settings().artefacts_dir / first / "quarantine.parquet"
    assert stat.S_IMODE(quarantine.stat().st_mode) == 0o600

    key_file.write_bytes(bytes(32))
    shutil.rmtree(settings().publication_dir)
    second = made(private_study)
    assert second != first
    assert (share_found(first), share_found(second)) == (0.0, 1.0)
