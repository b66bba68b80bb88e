"""A training that died with its machine goes on at another one, and nothing spoiled is taken up."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from models.checkpoints import Checkpoint, read_latest, write_checkpoint
from models.config import ModelConfig
from models.training import train
from pipelines.errors import ArtefactStoreUnavailable
from pipelines.kept_workspaces import kept_for_others, remove_workspace
from pipelines.remote_files import RemoteFiles, unavailable
from pipelines.remote_folder import RemoteFolder
from pipelines.remote_places import remote_files
from pipelines.stage import store
from tests.models.generated_stores import make_learnable_store, write_store
from tests.pipelines.s3_server import S3Server, use_server

KEY = "train_model/0123456789abcdef"
PLACE = "train_model/.work-0123456789abcdef"


class _Died(Exception):
    """What ends an attempt here; a machine that dies ends it without a word."""


@pytest.fixture
def url(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EQUIPOISE_ARTEFACTS_URL", shared_url)
    return shared_url


@pytest.fixture
def workspace(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """The workspace of KEY on a machine, which is from then on this one."""

    def enter(machine: str) -> Path:
        monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / machine))
        place = store().workspace(KEY)
        place.mkdir(parents=True, exist_ok=True)
        return place

    return enter


def checkpoint(value: float) -> Checkpoint:
    return Checkpoint({"network.weight": torch.full((3,), value)}, {"fingerprint": "of it"})


def latest(workspace: Path, network: str) -> float | None:
    found = read_latest(workspace / "checkpoints" / network, "of it")
    return None if found is None else float(found.tensors["network.weight"][0])


def train_and_die(workspace: Path, epochs: dict[str, int]) -> None:
    """An attempt that writes so many checkpoints of each network, from the first on; its value is
    its number."""
    with suppress(_Died), kept_for_others(KEY, workspace):
        for network, last in epochs.items():
            for number in range(1, last + 1):
                write_checkpoint(
                    workspace / "checkpoints" / network, number, checkpoint(float(number))
                )
        raise _Died


def test_another_machine_takes_up_each_network_where_it_stood(
    workspace: Callable[[str], Path],
) -> None:
    train_and_die(workspace("one"), {"seed_0": 7, "seed_1": 3})
    two = workspace("two")

    with kept_for_others(KEY, two):
        assert (latest(two, "seed_0"), latest(two, "seed_1")) == (7.0, 3.0)


def test_of_several_attempts_the_furthest_counts_for_each_network_and_none_spoils_another(
    workspace: Callable[[str], Path],
) -> None:
    """Two machines train at once; neither knows of the other."""
    one = workspace("one")
    with suppress(_Died), kept_for_others(KEY, one):
        train_and_die(workspace("two"), {"seed_0": 9, "seed_1": 2})
        workspace("one")
        train_and_die(one, {"seed_0": 4, "seed_1": 5})
        raise _Died
    three = workspace("three")

    with kept_for_others(KEY, three):
        assert (latest(three, "seed_0"), latest(three, "seed_1")) == (9.0, 5.0)


def test_a_machine_that_is_further_itself_keeps_its_own(workspace: Callable[[str], Path]) -> None:
    train_and_die(workspace("one"), {"seed_0": 4})
    two = workspace("two")
    write_checkpoint(two / "checkpoints" / "seed_0", 6, checkpoint(-6.0))

    with kept_for_others(KEY, two):
        assert latest(two, "seed_0") == -6.0


def test_only_the_newest_checkpoint_of_a_network_is_kept_while_it_trains(
    workspace: Callable[[str], Path], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, files = workspace("one"), remote_files(url)
    monkeypatch.setenv("EQUIPOISE_CHECKPOINT_MINUTES", "0.001")
    with suppress(_Died), kept_for_others(KEY, one):
        for number in (1, 2, 3):
            write_checkpoint(one / "checkpoints" / "seed_0", number, checkpoint(float(number)))
            (one / "checkpoints" / "seed_0_seconds.json").write_text("{}")
            ends = time.monotonic() + 120
            while not any(f"{number:06d}.json" in name for name in files.sizes(PLACE)):
                assert time.monotonic() < ends, f"checkpoint {number} was never kept"
                time.sleep(0.05)
        raise _Died

    kept = sorted(Path(name).name for name in files.sizes(PLACE))
    assert [name for name in kept if name.endswith(".json")] == [
        "000003.json",
        "seed_0_seconds.json",
    ]
    assert len(kept) == 3


def spoil(files: RemoteFiles, name: str, tmp_path: Path, how: str) -> None:
    if how == "gone":
        files.remove([name])
        return
    content = files.read(name) or b""
    spoiled = tmp_path / "spoiled"
    spoiled.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if how == "flipped" else b"{}")
    files.put(name, spoiled)


@pytest.mark.parametrize(
    ("what", "how"),
    [(".safetensors", "flipped"), (".safetensors", "gone"), (".json", "emptied")],
)
def test_a_spoiled_checkpoint_is_passed_over_for_an_older_whole_one(
    workspace: Callable[[str], Path], url: str, tmp_path: Path, what: str, how: str
) -> None:
    files = remote_files(url)
    train_and_die(workspace("one"), {"seed_0": 3})
    before = set(files.sizes(PLACE))
    train_and_die(workspace("two"), {"seed_0": 8})
    newer = next(name for name in set(files.sizes(PLACE)) - before if name.endswith(what))
    spoil(files, f"{PLACE}/{newer}", tmp_path, how)
    three = workspace("three")

    with kept_for_others(KEY, three):
        assert latest(three, "seed_0") == 3.0
    assert not [file for file in three.rglob("*") if file.suffix == ".draft"]


def test_keeping_that_fails_is_logged_without_words_and_stops_no_training(
    workspace: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if url.startswith("s3"):
        pytest.skip("the folder stands for both")

    def fail(self: RemoteFolder, name: str, source: Path) -> None:
        raise OSError("a value of a record")

    one = workspace("one")
    monkeypatch.setattr(RemoteFolder, "put", fail)
    with suppress(_Died), kept_for_others(KEY, one):
        write_checkpoint(one / "checkpoints" / "seed_0", 1, checkpoint(1.0))
        raise _Died

    assert caplog.messages == ["checkpoints were not kept for others: OSError"]
    assert latest(one, "seed_0") == 1.0


def test_a_store_that_cannot_be_asked_stops_the_attempt_before_it_begins(
    workspace: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    if url.startswith("s3"):
        pytest.skip("the folder stands for both")

    def away(self: RemoteFolder, folder: str) -> dict[str, int]:
        raise unavailable(url, "ConnectionError")

    one = workspace("one")
    monkeypatch.setattr(RemoteFolder, "sizes", away)
    with pytest.raises(ArtefactStoreUnavailable), kept_for_others(KEY, one):
        raise AssertionError("it would train from the start")
    remove_workspace(KEY, one)
    assert not one.exists()


def test_a_made_artefact_leaves_no_checkpoint_anywhere(
    workspace: Callable[[str], Path], url: str
) -> None:
    train_and_die(workspace("one"), {"seed_0": 2})
    two = workspace("two")
    train_and_die(two, {"seed_0": 4})
    remove_workspace(KEY, two)

    assert remote_files(url).sizes(PLACE) == {}
    assert not two.exists()


CONFIG = ModelConfig(
    hidden_size=4, tokens_per_batch=128, max_epochs=40, patience_epochs=40, seeds=(0, 1)
)
# Tells an epoch and rests: one that is to be killed does not end before it.
SLOW_TRAINING = textwrap.dedent(
    """
    import runpy, time
    from models import progress
    tell = progress.line
    def tell_and_rest(*words, **further):
        tell(*words, **further)
        time.sleep(0.3)
    progress.line = tell_and_rest
    runpy.run_module("models.training", run_name="__main__", alter_sys=True)
    """
)
WORKER = textwrap.dedent(
    """
    import logging, sys
    from pathlib import Path
    from pipelines.artefacts import Recipe
    from pipelines.kept_workspaces import kept_for_others, remove_workspace
    from pipelines.stage import store
    from pipelines.training_process import one_attempt_at_a_time, run_training
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    folder, training = Path(sys.argv[1]), sys.argv[2:]
    recipe = Recipe("train_model", {}, {}, {}, {}, {})
    place = store().workspace(recipe.key)
    def write(draft):
        command = [sys.executable, *training, "--processes", "1",
            "--sequences", str(folder / "sequences"), "--config", str(folder / "config.json"),
            "--output", str(draft), "--checkpoints", str(place / "checkpoints")]
        with kept_for_others(recipe.key, place):
            run_training(command, lock)
        return {}
    with one_attempt_at_a_time(place) as lock:
        print("made", store().make(recipe, write).path, flush=True)
        remove_workspace(recipe.key, place)
    """
)


def start_worker(
    folder: Path, machine: str, url: str, training: tuple[str, str] = ("-m", "models.training")
) -> "subprocess.Popen[str]":
    """A machine of its own: its home, and a session that dies as a whole."""
    environment = os.environ | {
        "EQUIPOISE_HOME": str(folder / machine),
        "EQUIPOISE_ARTEFACTS_URL": url,
        "EQUIPOISE_CHECKPOINT_MINUTES": "0.001",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), *training],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        start_new_session=True,
    )


def killed_once_kept(folder: Path, machine: str, url: str, checkpoints: int) -> None:
    """A worker that dies, with all its processes, after so many different checkpoints were kept."""
    seen: set[str] = set()
    with start_worker(folder, machine, url, ("-c", SLOW_TRAINING)) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            assert not line.startswith("made"), "the training ended before it could be killed"
            if "epoch" in line:
                seen |= {name for name in _kept(url) if re.search(r"/\d+\.json", name)}
            if len(seen) >= checkpoints:
                break
        os.killpg(worker.pid, signal.SIGKILL)


def _kept(url: str) -> list[str]:
    files = remote_files(url)
    found = [place for place in files.children("train_model") if place.startswith(".work-")]
    return [name for place in found for name in files.sizes(f"train_model/{place}")]


def weights(model: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(model.glob("*.safetensors"))}


@pytest.mark.faults
@pytest.mark.parametrize(
    "checkpoints", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 12, 2))]
)
def test_a_training_whose_machine_died_ends_on_another_with_the_same_weights(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoints: int
) -> None:
    use_server(monkeypatch, server)
    bucket = server.new_bucket()
    write_store(make_learnable_store(200), tmp_path / "sequences")
    (tmp_path / "config.json").write_text(CONFIG.model_dump_json())
    killed_once_kept(tmp_path, "one", f"s3://{bucket}/killed", checkpoints)

    with start_worker(tmp_path, "two", f"s3://{bucket}/killed") as second:
        said = (second.stdout or sys.stdin).read()
    train(tmp_path / "sequences", CONFIG, tmp_path / "undisturbed", tmp_path / "checkpoints")

    taken_up = re.search(r"seed_0 goes on after checkpoint (\d+)", said)
    assert taken_up is not None
    assert f"seed_0 epoch {int(taken_up[1])} of" not in said
    model = next((tmp_path / "two" / "artefacts" / "train_model").glob("[!.]*"))
    assert set(weights(model)) == {"seed_0.safetensors", "seed_1.safetensors"}
    assert weights(model) == weights(tmp_path / "undisturbed")
    told = json.loads((model / "training_log.json").read_text())
    assert [len(one["epochs"]) for one in told.values()] == [40, 40]
    assert _kept(f"s3://{bucket}/killed") == []


def test_of_two_attempts_at_once_one_trains_and_the_other_finds_it_made(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_server(monkeypatch, server)
    write_store(make_learnable_store(200), tmp_path / "sequences")
    (tmp_path / "config.json").write_text(CONFIG.model_dump_json())
    url = f"s3://{server.new_bucket()}/twice"

    with start_worker(tmp_path, "one", url) as first, start_worker(tmp_path, "one", url) as second:
        said = [worker.communicate()[0] for worker in (first, second)]

    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted("epoch" in each for each in said) == [False, True]
    assert len({each.splitlines()[-1] for each in said}) == 1
    assert [path.name for path in (tmp_path / "one/artefacts/train_model").glob(".work-*")] == []
