"""Machines that share a store: what one made the others open, and nothing spoiled is believed.

Two folders stand for two machines; the store is a real S3 protocol server, or a second folder.
"""

import json
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.artefacts import Artefact, ArtefactStore, Counts, Recipe
from pipelines.errors import ArtefactCorrupt, ArtefactStoreUnavailable, StudyInvalid
from pipelines.manifests import MANIFEST, hash_file
from pipelines.remote_artefacts import RemoteArtefacts
from pipelines.remote_files import unavailable
from pipelines.remote_objects import PART_BYTES
from pipelines.settings import settings
from tests.pipelines.s3_server import (
    CANARY_KEY,
    CANARY_SECRET,
    S3Server,
    objects,
    running_server,
    use_server,
)

RECIPE = Recipe("ingest_events", {}, {}, {}, {}, {})
KEY = RECIPE.key
CONTENTS = {"events/07.parquet": b"seven" * 1000, "quarantine.parquet": b"a source's own words"}


def write(draft: Path) -> Counts:
    for name, content in CONTENTS.items():
        (draft / name).parent.mkdir(exist_ok=True)
        (draft / name).write_bytes(content)
    return {"files": len(CONTENTS)}


def write_other(draft: Path) -> Counts:
    """What another device makes of the same recipe: other last bits."""
    write(draft)
    (draft / "quarantine.parquet").write_bytes(b"other bytes")
    return {"files": len(CONTENTS)}


def never(draft: Path) -> Counts:
    raise AssertionError("it is to be fetched, not made")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_server(tmp_path_factory.mktemp("s3") / "log") as running:
        yield running


@pytest.fixture(params=["s3", "file"])
def url(
    request: pytest.FixtureRequest,
    server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """An empty store that the machines share."""
    if request.param == "file":
        return f"file://{tmp_path / 'shared'}"
    use_server(monkeypatch, server)
    return f"s3://{server.new_bucket()}/pre/fix"


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    use_server(monkeypatch, server)
    return f"s3://{server.new_bucket()}/prefix"


@pytest.fixture
def machine(tmp_path: Path, url: str) -> Callable[[str], ArtefactStore]:
    return lambda name: ArtefactStore(tmp_path / name, RemoteArtefacts(url))


def contents(artefact: Path) -> dict[str, bytes]:
    files = [file for file in artefact.rglob("*") if file.is_file() and file.name != MANIFEST]
    return {str(file.relative_to(artefact)): file.read_bytes() for file in files}


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
    s3: str, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    makers = [
        context.Process(target=_make_after, args=(barrier, tmp_path / f"machine_{number}", s3))
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
    server: S3Server, s3: str, tmp_path: Path, how: str
) -> None:
    ArtefactStore(tmp_path / "one", RemoteArtefacts(s3)).make(RECIPE, write)
    spoiled(s3.removeprefix("s3://"), objects(server), how)
    two = ArtefactStore(tmp_path / "two", RemoteArtefacts(s3))

    for way_in in (lambda: two.open(KEY), lambda: two.make(RECIPE, never)):
        with pytest.raises(ArtefactCorrupt) as refused:
            way_in()
        assert f"Remove {s3}/{KEY}.json" in refused.value.remedy
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


KILLED_IN_UPLOAD = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from pipelines.artefacts import ArtefactStore
    from pipelines.remote_artefacts import RemoteArtefacts
    from tests.pipelines.test_remote_artefacts import RECIPE, write
    root, url, after = sys.argv[1:]
    store = ArtefactStore(Path(root), RemoteArtefacts(url))
    calls = 0
    def dying(function):
        def call(*words):
            global calls
            calls += 1
            if calls > int(after):
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*words)
        return call
    files = store.shared.files
    files.put, files.put_new = dying(files.put), dying(files.put_new)
    store.make(RECIPE, write)
    """
)


def killed_in_upload(root: Path, url: str, after: int) -> None:
    """A maker that is killed before its call number ``after`` + 1 that writes to the store."""
    command = [sys.executable, "-c", KILLED_IN_UPLOAD, str(root), url, str(after)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


@pytest.mark.faults
@pytest.mark.parametrize("after", [1, 2])
def test_an_upload_that_is_killed_between_two_files_is_no_artefact(
    s3: str, tmp_path: Path, after: int
) -> None:
    killed_in_upload(tmp_path / "one", s3, after)
    two = ArtefactStore(tmp_path / "two", RemoteArtefacts(s3))

    assert (two.has(KEY), two.keys("ingest_events")) == (False, [])
    with pytest.raises(ArtefactCorrupt, match="is missing"):
        two.open(KEY)
    assert two.make(RECIPE, write).made
    first = ArtefactStore(tmp_path / "one", RemoteArtefacts(s3)).make(RECIPE, never)
    assert contents(first.path) == CONTENTS


MAKER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from pipelines.artefacts import ArtefactStore
    from pipelines.remote_artefacts import RemoteArtefacts
    from tests.pipelines.test_remote_artefacts import RECIPE, write_much
    root, url = sys.argv[1:]
    print("begun", flush=True)
    ArtefactStore(Path(root), RemoteArtefacts(url)).make(RECIPE, write_much)
    """
)


def write_much(draft: Path) -> Counts:
    """Forty small files and one that goes up in several parts."""
    for number in range(40):
        (draft / f"{number:02d}").write_bytes(b"%d" % number * 10_000)
    (draft / "large").write_bytes(b"0123456789abcdef" * (40 * 2**16))
    return {}


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("delay_ms", range(100, 2600, 100))
def test_a_maker_that_is_killed_at_any_moment_leaves_all_or_nothing(
    s3: str, tmp_path: Path, delay_ms: int
) -> None:
    command = [sys.executable, "-c", MAKER, str(tmp_path / "one"), s3]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        maker.stdout.readline()
        time.sleep(delay_ms / 1000)
        maker.kill()
    two = ArtefactStore(tmp_path / "two", RemoteArtefacts(s3))
    there = two.has(KEY)
    made = two.make(RECIPE, write_much)

    assert made.made is not there
    assert len(contents(made.path)) == 41
    again = ArtefactStore(tmp_path / "one", RemoteArtefacts(s3)).make(RECIPE, never)
    assert contents(again.path) == contents(made.path)


@pytest.fixture
def unreachable(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store whose server is away; a client waits once, where it would wait five times."""
    use_server(monkeypatch, server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return "s3://bucket/prefix"


def test_a_store_that_is_away_is_an_error_of_its_own_and_nothing_is_made(
    unreachable: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = ArtefactStore(tmp_path, RemoteArtefacts(unreachable))
    ways_in: tuple[Callable[[], object], ...] = (
        lambda: store.open(KEY),
        lambda: store.make(RECIPE, never),
        lambda: store.manifest(KEY),
        lambda: store.has(KEY),
        lambda: store.keys("ingest_events"),
    )
    for way_in in ways_in:
        with caplog.at_level("INFO"), pytest.raises(ArtefactStoreUnavailable) as away:
            way_in()
        said = f"{away.value}{away.value.args}{caplog.text}"
        assert CANARY_KEY not in said
        assert CANARY_SECRET not in said
    assert away.value.exit_code == 36


@pytest.mark.parametrize("missing", ["bucket", "rights"])
def test_a_store_that_cannot_be_used_is_unavailable_and_says_no_secret(
    server: S3Server, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "bucket":
        s3 = f"s3://no-such-{tmp_path.name.replace('_', '-').lower()}/prefix"
    else:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        use_no_credentials(monkeypatch)

    with pytest.raises(ArtefactStoreUnavailable) as refused:
        ArtefactStore(tmp_path / "one", RemoteArtefacts(s3)).make(RECIPE, write)
    assert CANARY_SECRET not in str(refused.value)
    assert not (tmp_path / "one" / KEY).exists()


def use_no_credentials(patch: pytest.MonkeyPatch) -> None:
    import s3fs

    patch.setenv("HOME", os.devnull)
    s3fs.S3FileSystem.clear_instance_cache()


def test_what_was_made_while_the_store_was_away_is_shared_by_the_next_attempt(
    machine: Callable[[str], ArtefactStore], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    one = machine("one")
    assert one.shared is not None

    def away(name: str, source: Path) -> None:
        raise unavailable(url, "ConnectionError")

    with monkeypatch.context() as patch:
        patch.setattr(one.shared.files, "put", away)
        with pytest.raises(ArtefactStoreUnavailable):
            one.make(RECIPE, write)
    assert not one.has(KEY)

    assert one.make(RECIPE, never).made
    assert contents(machine("two").open(KEY)) == CONTENTS


def test_what_waited_to_be_shared_and_was_altered_is_made_anew(
    machine: Callable[[str], ArtefactStore], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    one = machine("one")
    assert one.shared is not None

    def away(name: str, source: Path) -> None:
        raise unavailable(url, "ConnectionError")

    with monkeypatch.context() as patch:
        patch.setattr(one.shared.files, "put", away)
        with pytest.raises(ArtefactStoreUnavailable):
            one.make(RECIPE, write)
    waiting = next(one.root.glob("ingest_events/.unshared-*/quarantine.parquet"))
    waiting.write_bytes(b"altered")

    assert contents(one.make(RECIPE, write).path) == CONTENTS


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
def test_a_transfer_holds_two_parts_in_memory_and_not_the_file(s3: str, tmp_path: Path) -> None:
    files = RemoteArtefacts(s3).files
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


@pytest.mark.parametrize(
    "url", ["s3://AKIA:canary@bucket/prefix", "bucket/prefix", "s3://", "s3://bucket?key=canary"]
)
def test_an_address_that_is_none_or_holds_credentials_is_refused_and_not_said(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_ARTEFACTS_URL", url)
    with pytest.raises(StudyInvalid, match="no address of a store") as refused:
        settings()
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "1441", "five", ""])
def test_minutes_between_checkpoints_are_some_and_at_most_a_day(
    minutes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_CHECKPOINT_MINUTES", minutes)
    with pytest.raises(StudyInvalid, match="no number of minutes"):
        settings()


def test_without_an_address_the_local_folder_is_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody pays for a client that is not used; Compose writes an empty variable for none."""
    monkeypatch.setenv("EQUIPOISE_ARTEFACTS_URL", "")
    monkeypatch.setenv("EQUIPOISE_ARTEFACTS", str(tmp_path / "own"))
    program = (
        "import sys; from pipelines.stage import store; print(store().shared, store().root);"
        "print(sorted({'fsspec', 's3fs', 'botocore'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert said == f"None {tmp_path / 'own'}\n[]\n"


def test_what_killed_uploads_left_goes_after_a_day_and_artefacts_stay(
    machine: Callable[[str], ArtefactStore], tmp_path: Path
) -> None:
    one = machine("one")
    one.make(RECIPE, write)
    shared = one.shared
    assert shared is not None
    (tmp_path / "left").write_bytes(b"12345")
    shared.files.put("train_model/00/aa/weights", tmp_path / "left")
    shared.files.put(f"{KEY}/bb/of_a_loser", tmp_path / "left")

    assert shared.unfinished(datetime.now(UTC) - timedelta(minutes=1)) == {}
    left = shared.unfinished(datetime.now(UTC) + timedelta(minutes=1))
    assert left == {"train_model/00/aa/weights": 5, f"{KEY}/bb/of_a_loser": 5}
    shared.files.remove(left)
    assert shared.files.sizes("train_model") == {}
    assert contents(machine("two").open(KEY)) == CONTENTS


@pytest.mark.parametrize(("last_hours_ago", "stays"), [(23, True), (25, False)])
def test_checkpoints_go_when_their_attempt_kept_none_for_a_day_and_not_before(
    tmp_path: Path, last_hours_ago: int, stays: bool
) -> None:
    """A network that was finished three days ago, and one of the same attempt."""
    shared = RemoteArtefacts(f"file://{tmp_path / 'shared'}")
    (tmp_path / "kept").write_bytes(b"1")
    hours_ago = {"seed_0/000060.json": 72, "seed_1/000007.json": last_hours_ago}
    for name, hours in hours_ago.items():
        place = f"train_model/.work-00/attempt/checkpoints/{name}"
        shared.files.put(place, tmp_path / "kept")
        at = time.time() - 3600 * hours
        os.utime(tmp_path / "shared" / place, (at, at))

    left = shared.unfinished(datetime.now(UTC) - timedelta(days=1))
    assert len(left) == (0 if stays else 2)
