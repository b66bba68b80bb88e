"""Artefacts: reused when the recipe is the same, refused when a byte changed, never half there."""

import os
import stat
import time
from pathlib import Path

import pytest

from pipelines.artefacts import ArtefactStore, Counts, Recipe
from pipelines.errors import ArtefactCorrupt


def recipe(**changes: object) -> Recipe:
    parts = {
        "stage": "build_sequences",
        "sources": {"pipelines.sequences": "a"},
        "libraries": {"polars": "2"},
        "config": {"seed": 0},
        "inputs": {"events": "ingest_events/1"},
        "files": {},
    }
    return Recipe(**(parts | changes))  # type: ignore[arg-type]


def write(draft: Path) -> Counts:
    (draft / "inner").mkdir()
    (draft / "inner" / "rows.txt").write_text("42")
    return {"rows": 1}


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(tmp_path)


def test_the_same_recipe_is_made_once(store: ArtefactStore) -> None:
    first, second = store.make(recipe(), write), store.make(recipe(), write)

    assert (first.made, second.made) == (True, False)
    assert first.key == second.key
    assert second.counts == {"rows": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "train_model"},
        {"sources": {"pipelines.sequences": "b"}},
        {"libraries": {"polars": "3"}},
        {"config": {"seed": 1}},
        {"inputs": {"events": "ingest_events/2"}},
        {"files": {"nafld1": "c"}},
    ],
)
def test_any_part_of_the_recipe_changes_the_key(change: dict[str, object]) -> None:
    assert recipe(**change).key != recipe().key


def test_one_flipped_bit_is_noticed_on_reading(store: ArtefactStore) -> None:
    path = store.make(recipe(), write).path / "inner" / "rows.txt"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + b"2")

    with pytest.raises(ArtefactCorrupt, match="its sha256 differs"):
        store.open(recipe().key)


@pytest.mark.parametrize("lost", ["manifest.json", "inner/rows.txt"])
def test_a_lost_file_is_noticed_on_reading(store: ArtefactStore, lost: str) -> None:
    (store.make(recipe(), write).path / lost).unlink()

    with pytest.raises(ArtefactCorrupt, match="is missing"):
        store.open(recipe().key)


def test_a_manifest_of_another_artefact_is_refused(store: ArtefactStore) -> None:
    one = store.make(recipe(), write).path
    other = store.make(recipe(config={"seed": 1}), write).path
    (one / "manifest.json").write_bytes((other / "manifest.json").read_bytes())

    with pytest.raises(ArtefactCorrupt, match="does not belong"):
        store.open(recipe().key)


def test_a_stage_that_fails_leaves_no_artefact_and_the_next_attempt_succeeds(
    store: ArtefactStore,
) -> None:
    def fail(draft: Path) -> Counts:
        write(draft)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.make(recipe(), fail)
    assert list(store.root.rglob("rows.txt")) == []
    assert store.make(recipe(), write).made


def test_two_writers_of_one_recipe_both_succeed_and_the_first_rename_wins(
    store: ArtefactStore,
) -> None:
    def slow(draft: Path) -> Counts:
        store.make(recipe(), write)
        return write(draft)

    assert store.make(recipe(), slow).key == recipe().key
    assert [path.name for path in store.root.joinpath("build_sequences").iterdir()] == [
        Path(recipe().key).name
    ]


def test_drafts_of_killed_processes_are_swept_after_a_day(store: ArtefactStore) -> None:
    folder = store.root / "build_sequences"
    old, young = folder / ".draft-old-1", folder / ".draft-young-2"
    old.mkdir(parents=True)
    young.mkdir()
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    store.make(recipe(), write)

    assert (old.exists(), young.exists()) == (False, True)
    for look in (lambda: store.make(recipe(), write), lambda: store.sweep("build_sequences")):
        old.mkdir()
        os.utime(old, (yesterday, yesterday))
        look()
        assert (old.exists(), young.exists()) == (False, True)
    store.sweep("a_stage_without_a_folder")


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_only_the_owner_enters_the_store_its_drafts_and_its_artefacts(
    tmp_path: Path, umask: int
) -> None:
    store = ArtefactStore(tmp_path / "artefacts")
    store.root.mkdir(mode=0o755)
    drafts: list[int] = []

    def look(draft: Path) -> Counts:
        drafts.append(stat.S_IMODE(draft.stat().st_mode))
        return write(draft)

    before = os.umask(umask)
    try:
        final = store.make(recipe(), look).path
    finally:
        os.umask(before)
    kept = [stat.S_IMODE(path.stat().st_mode) for path in (store.root, final.parent, final)]
    assert [*drafts, *kept] == [0o700] * 4


def test_a_key_that_is_a_file_is_no_artefact(store: ArtefactStore, tmp_path: Path) -> None:
    (tmp_path / "a_file").write_text("no folder")
    with pytest.raises(ArtefactCorrupt, match="is missing"):
        store.open("a_file")
