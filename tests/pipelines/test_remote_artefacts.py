"""Machines that share a store: what one made the others open, and nothing spoiled is believed.

Two folders stand for two machines; the store is a real S3 protocol server, or a second folder.
"""

import json
import multiprocessing
import os
import shutil
import stat
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.artefacts import Artefact, ArtefactStore, Counts, Recipe
from pipelines.errors import ArtefactCorrupt
from pipelines.manifests import MANIFEST, hash_file
from pipelines.remote_artefacts import RemoteArtefacts
from pipelines.remote_objects import PART_BYTES
from tests.pipelines.s3_server import S3Server, objects
from tests.pipelines.shared_store_examples import (
    CONTENTS,
    KEY,
    RECIPE,
    contents,
    never,
    write,
    write_other,
)


def test_what_one_machine_made_another_opens_and_makes_no_more(
    machine: Callable[[str], ArtefactStore],
) -> None:
    made = machine("one").make(RECIPE, write)
    opened = machine("two").open(KEY)
    again = machine("three").make(RECIPE, never)

    assert (made.made, again.made) == (True, False)
    assert contents(made.path) == contents(opened) == contents(again.path) == CONTENTS
    assert again.counts == {"files": 2}
    manifests = {(folder / MANIFEST).read_bytes() for folder in (made.path, opened, again.path)}
    assert len(manifests) == 1


def test_a_machine_without_a_copy_knows_manifest_content_and_keys(
    machine: Callable[[str], ArtefactStore],
) -> None:
    one, two = machine("one"), machine("two")
    one.make(RECIPE, write)
    local = Recipe("ingest_events", {"a": "b"}, {}, {}, {}, {})
    ArtefactStore(two.root).make(local, write)

    assert two.manifest(KEY) == one.manifest(KEY)
    assert two.content_sha256(KEY) == one.content_sha256(KEY)
    assert two.keys("ingest_events") == sorted([KEY, local.key])
    assert (two.has(KEY), two.has(local.key), two.has("ingest_events/00")) == (True, True, False)
    assert two.keys("train_model") == []
    assert not two.path(KEY).exists()
    with pytest.raises(ArtefactCorrupt, match="is missing"):
        two.open("ingest_events/0000000000000000")


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_nobody_but_the_owner_opens_a_copy(
    machine: Callable[[str], ArtefactStore], umask: int
) -> None:
    machine("one").make(RECIPE, write)
    before = os.umask(umask)
    try:
        copy = machine("two").open(KEY)
    finally:
        os.umask(before)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in copy.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (copy, copy / "events")}
    assert (modes, folders) == ({0o600}, {0o700})


def test_of_two_makers_the_first_upload_counts_and_both_have_its_bytes(
    machine: Callable[[str], ArtefactStore],
) -> None:
    one, two = machine("one"), machine("two")
    others: list[Artefact] = []

    def overtaken(draft: Path) -> Counts:
        others.append(two.make(RECIPE, write))
        return write_other(draft)

    late = one.make(RECIPE, overtaken)

    assert contents(late.path) == contents(others[0].path) == CONTENTS
    assert contents(machine("three").open(KEY)) == CONTENTS
    assert not [path for path in late.path.parent.iterdir() if path != late.path]


def test_of_two_who_write_the_manifest_at_the_same_moment_one_writes_it(
    machine: Callable[[str], ArtefactStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have found no manifest: the store's own condition decides."""
    one, two = machine("one"), machine("two")
    shared = one.shared
    assert shared is not None
    put_new = shared.files.put_new

    def after_the_other(name: str, content: bytes) -> None:
        two.make(RECIPE, write)
        put_new(name, content)

    monkeypatch.setattr(shared.files, "put_new", after_the_other)
    late = one.make(RECIPE, write_other)

    assert contents(late.path) == contents(two.path(KEY)) == CONTENTS


def _make_after(barrier: Any, root: Path, url: str) -> None:
    store = ArtefactStore(root, RemoteArtefacts(url))

    def slow(draft: Path) -> Counts:
        barrier.wait(60)
        (draft / "maker.txt").write_text(root.name)
        return {}

    store.make(RECIPE, slow)


def test_processes_that_make_the_same_at_once_all_succeed_with_the_same_bytes(
    s3_url: str, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    makers = [
        context.Process(target=_make_after, args=(barrier, tmp_path / f"machine_{number}", s3_url))
        for number in range(4)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(120)

    assert [maker.exitcode for maker in makers] == [0] * 4
    found = {
        (tmp_path / f"machine_{number}" / KEY / "maker.txt").read_text() for number in range(4)
    }
    assert len(found) == 1


def spoiled(root: Any, files: Any, how: str) -> None:
    name = next(path for path in files.find(root) if path.endswith("07.parquet"))
    if how == "flipped":
        content = files.cat_file(name)
        files.pipe_file(name, bytes([content[0] ^ 1]) + content[1:])
    elif how == "short":
        files.pipe_file(name, files.cat_file(name)[:-1])
    else:
        files.rm_file(name)


@pytest.mark.parametrize("how", ["flipped", "short", "gone"])
def test_a_spoiled_file_of_the_store_is_refused_by_every_way_in(
    server: S3Server, s3_url: str, tmp_path: Path, how: str
) -> None:
    ArtefactStore(tmp_path / "one", RemoteArtefacts(s3_url)).make(RECIPE, write)
    spoiled(s3_url.removeprefix("s3://"), objects(server), how)
    two = ArtefactStore(tmp_path / "two", RemoteArtefacts(s3_url))

    for way_in in (lambda: two.open(KEY), lambda: two.make(RECIPE, never)):
        with pytest.raises(ArtefactCorrupt) as refused:
            way_in()
        assert f"Remove {s3_url}/{KEY}.json" in refused.value.remedy
    assert not two.path(KEY).exists()
    assert not list((tmp_path / "two").rglob("*.parquet"))


def test_what_the_remedy_says_heals_a_spoiled_artefact(
    machine: Callable[[str], ArtefactStore], tmp_path: Path
) -> None:
    one = machine("one")
    one.make(RECIPE, write)
    assert one.shared is not None
    one.shared.remove(KEY)

    assert machine("two").make(RECIPE, write).made
    assert one.make(RECIPE, never).counts == {"files": 2}


def leading_to(name: str) -> bytes:
    return json.dumps({"recipe": RECIPE.as_dict(), "files": {name: {"sha256": "0"}}}).encode()


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (b"no json", "cannot be read"),
        (b"[]", "cannot be read"),
        (json.dumps({"recipe": {}, "files": {}, "counts": {}}).encode(), "does not belong"),
        (leading_to("../escaped"), "outside of its folder"),
        (leading_to("/absolute"), "outside of its folder"),
    ],
)
def test_a_manifest_that_is_none_is_of_another_or_leads_outside_is_refused(
    machine: Callable[[str], ArtefactStore], manifest: bytes, why: str
) -> None:
    two = machine("two")
    assert two.shared is not None
    two.shared.files.put_new(f"{KEY}.json", manifest)

    with pytest.raises(ArtefactCorrupt, match=why):
        two.open(KEY)


def test_an_older_artefact_of_one_machine_is_shared_when_it_is_used_again(
    machine: Callable[[str], ArtefactStore], tmp_path: Path
) -> None:
    ArtefactStore(tmp_path / "one").make(RECIPE, write)

    assert not machine("one").make(RECIPE, never).made
    assert contents(machine("two").open(KEY)) == CONTENTS


def test_an_older_artefact_that_differs_from_the_store_s_is_refused_and_kept(
    machine: Callable[[str], ArtefactStore], tmp_path: Path
) -> None:
    ArtefactStore(tmp_path / "one").make(RECIPE, write_other)
    machine("two").make(RECIPE, write)

    with pytest.raises(ArtefactCorrupt, match="of other bytes than in the shared store"):
        machine("one").make(RECIPE, never)
    assert (tmp_path / "one" / KEY / "quarantine.parquet").read_bytes() == b"other bytes"


def test_copies_that_differ_in_a_log_of_timings_alone_are_the_same(
    machine: Callable[[str], ArtefactStore], tmp_path: Path
) -> None:
    def logged(seconds: str) -> Callable[[Path], Counts]:
        def write_log(draft: Path) -> Counts:
            (draft / "training_log.json").write_text(seconds)
            return write(draft)

        return write_log

    ArtefactStore(tmp_path / "one").make(RECIPE, logged("1"))
    machine("two").make(RECIPE, logged("2"))

    assert not machine("one").make(RECIPE, never).made


def test_a_copy_that_was_lost_or_spoiled_here_is_fetched_again(
    machine: Callable[[str], ArtefactStore],
) -> None:
    one = machine("one")
    path = one.make(RECIPE, write).path
    (path / "quarantine.parquet").write_bytes(b"altered")
    with pytest.raises(ArtefactCorrupt) as refused:
        one.open(KEY)
    assert refused.value.remedy.startswith(f"Delete {path} and run again")
    shutil.rmtree(path)

    assert contents(one.open(KEY)) == CONTENTS


@pytest.mark.slow
def test_a_transfer_holds_two_parts_in_memory_and_not_the_file(s3_url: str, tmp_path: Path) -> None:
    files = RemoteArtefacts(s3_url).files
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(8 * PART_BYTES)
    tracemalloc.start()
    files.put("large", large)
    assert files.get("large", tmp_path / "copy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert PART_BYTES <= peak < 3 * PART_BYTES
    assert hash_file(tmp_path / "copy") == hash_file(large)
