"""Uploads that are killed and stores that are away: all of an artefact is shared, or nothing."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.artefacts import ArtefactStore, Counts
from pipelines.errors import ArtefactCorrupt, ArtefactStoreUnavailable
from pipelines.remote_artefacts import RemoteArtefacts
from pipelines.remote_files import unavailable
from tests.pipelines.s3_server import CANARY_KEY, CANARY_SECRET, S3Server, use_server
from tests.pipelines.shared_store_examples import CONTENTS, KEY, RECIPE, contents, never, write

KILLED_IN_UPLOAD = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from pipelines.artefacts import ArtefactStore
    from pipelines.remote_artefacts import RemoteArtefacts
    from tests.pipelines.shared_store_examples import RECIPE, write
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
    s3_url: str, tmp_path: Path, after: int
) -> None:
    killed_in_upload(tmp_path / "one", s3_url, after)
    two = ArtefactStore(tmp_path / "two", RemoteArtefacts(s3_url))

    assert (two.has(KEY), two.keys("ingest_events")) == (False, [])
    with pytest.raises(ArtefactCorrupt, match="is missing"):
        two.open(KEY)
    assert two.make(RECIPE, write).made
    first = ArtefactStore(tmp_path / "one", RemoteArtefacts(s3_url)).make(RECIPE, never)
    assert contents(first.path) == CONTENTS


MAKER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from pipelines.artefacts import ArtefactStore
    from pipelines.remote_artefacts import RemoteArtefacts
    from tests.pipelines.shared_store_examples import RECIPE
    from tests.pipelines.test_remote_interruptions import write_much
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
    s3_url: str, tmp_path: Path, delay_ms: int
) -> None:
    command = [sys.executable, "-c", MAKER, str(tmp_path / "one"), s3_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        maker.stdout.readline()
        time.sleep(delay_ms / 1000)
        maker.kill()
    two = ArtefactStore(tmp_path / "two", RemoteArtefacts(s3_url))
    there = two.has(KEY)
    made = two.make(RECIPE, write_much)

    assert made.made is not there
    assert len(contents(made.path)) == 41
    again = ArtefactStore(tmp_path / "one", RemoteArtefacts(s3_url)).make(RECIPE, never)
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
    server: S3Server, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "bucket":
        s3_url = f"s3://no-such-{tmp_path.name.replace('_', '-').lower()}/prefix"
    else:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        use_no_credentials(monkeypatch)

    with pytest.raises(ArtefactStoreUnavailable) as refused:
        ArtefactStore(tmp_path / "one", RemoteArtefacts(s3_url)).make(RECIPE, write)
    assert CANARY_SECRET not in str(refused.value)
    assert not (tmp_path / "one" / KEY).exists()


def use_no_credentials(patch: pytest.MonkeyPatch) -> None:
    import s3fs

    patch.setenv("HOME", os.devnull)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def waiting(
    machine: Callable[[str], ArtefactStore], shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> ArtefactStore:
    """A machine that made the artefact while the store was away: it waits to be shared."""
    one = machine("one")
    assert one.shared is not None

    def away(name: str, source: Path) -> None:
        raise unavailable(shared_url, "ConnectionError")

    with monkeypatch.context() as patch:
        patch.setattr(one.shared.files, "put", away)
        with pytest.raises(ArtefactStoreUnavailable):
            one.make(RECIPE, write)
    return one


def test_what_was_made_while_the_store_was_away_is_shared_by_the_next_attempt(
    waiting: ArtefactStore, machine: Callable[[str], ArtefactStore]
) -> None:
    assert not waiting.has(KEY)

    assert waiting.make(RECIPE, never).made
    assert contents(machine("two").open(KEY)) == CONTENTS


def test_what_waited_to_be_shared_and_was_altered_is_made_anew(waiting: ArtefactStore) -> None:
    unshared = next(waiting.root.glob("ingest_events/.unshared-*/quarantine.parquet"))
    unshared.write_bytes(b"altered")

    assert contents(waiting.make(RECIPE, write).path) == CONTENTS


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
