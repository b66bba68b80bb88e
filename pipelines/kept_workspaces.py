"""Checkpoints of a training in the shared store, so that another machine goes on where one died.

Each attempt writes below a name of its own, ``<stage>/.work-<hash>/<attempt>/``: no two machines
ever write the same file. A checkpoint is a JSON, written last, that names the sha256 of its
tensors, which is their name there; whoever takes it up compares. Two machines may train the same
recipe at once (a lock reaches as far as one machine or one shared drive): both waste work, neither
spoils the other's checkpoints, and the first whole artefact counts.
"""

import json
import logging
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipelines.durable import fsync_path
from pipelines.errors import ArtefactStoreUnavailable
from pipelines.manifests import hash_file
from pipelines.remote_files import RemoteFiles
from pipelines.settings import settings
from pipelines.stage import store

log = logging.getLogger(__name__)

# models/checkpoints.py names a checkpoint by its number, models/cost.py what a network has cost.
CHECKPOINT, SHA256 = re.compile(r"\d{6}\.json"), re.compile(r"[0-9a-f]{64}")
TENSORS, COST = ".safetensors", "_seconds.json"


@contextmanager
def kept_for_others(key: str, workspace: Path) -> Iterator[None]:
    """Take up what another machine kept of a training, and keep this one's checkpoints for others.

    To be entered by the one attempt that holds the workspace. Without a shared store it does
    nothing. Checkpoints are kept every few minutes while the block runs and once more when it
    fails; keeping that fails is logged and does not stop the training.

    Args:
        key: of the artefact that is being trained.

    Raises:
        ArtefactStoreUnavailable: the shared store cannot be asked what is kept.
    """
    shared = store().shared
    if shared is None:
        yield
        return
    place = _place(key)
    _take_up(shared.files, place, workspace)
    keeper = _Keeper(shared.files, workspace, f"{place}/{uuid.uuid4().hex[:12]}")
    keeper.start(60 * settings().checkpoint_minutes)
    try:
        yield
    except BaseException:
        keeper.stop()
        keeper.keep()
        raise
    keeper.stop()


def remove_workspace(key: str, workspace: Path | None) -> None:
    """Remove the checkpoints of an artefact that is made: those here, if told where they are, and
    those in the shared store.
    """
    if workspace is not None:
        shutil.rmtree(workspace, ignore_errors=True)
    shared = store().shared
    if shared is None:
        return
    place = _place(key)
    try:
        shared.files.remove([f"{place}/{name}" for name in shared.files.sizes(place)])
    except ArtefactStoreUnavailable:
        log.warning("the checkpoints of %s stay in the shared store until they are pruned", key)


class _Keeper:
    """Keeps one attempt's newest checkpoints, from time to time."""

    def __init__(self, files: RemoteFiles, workspace: Path, place: str) -> None:
        self._files, self._workspace, self._place = files, workspace, place
        # Network's folder -> the words of the checkpoint that is kept of it.
        self._kept: dict[Path, Path] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, every_seconds: float) -> None:
        def keep_from_time_to_time() -> None:
            while not self._stopped.wait(every_seconds):
                self.keep()

        self._thread = threading.Thread(target=keep_from_time_to_time, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when nothing is being kept any more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def keep(self) -> None:
        """Copy what is new; what goes wrong is said by its class."""
        try:
            for folder, words in _newest(self._workspace).items():
                if self._kept.get(folder) != words:
                    self._replace(folder, words)
        except Exception as error:
            # Of the store, or of files that the training removes while they are copied.
            log.warning("checkpoints were not kept for others: %s", type(error).__name__)

    def _replace(self, folder: Path, words: Path) -> None:
        """Keep a checkpoint: its tensors by their hash, then its words; then forget the last."""
        files, place = self._files, f"{self._place}/{folder}"
        before = set(files.sizes(place))
        with _linked(words) as link:
            sha256 = _sha256_in(link.read_bytes())
            with _linked(words.with_suffix(TENSORS)) as tensors:
                if hash_file(tensors) != sha256:
                    return  # it is being written again
                files.put(f"{place}/{sha256}{TENSORS}", tensors)
            files.put(f"{place}/{words.name}", link)
        self._kept[folder] = words
        cost = folder.with_name(f"{folder.name}{COST}")
        if (self._workspace / cost).exists():
            files.put(f"{self._place}/{cost}", self._workspace / cost)
        old = before - {words.name, f"{sha256}{TENSORS}"}
        files.remove(f"{place}/{name}" for name in sorted(old))


def _newest(workspace: Path) -> dict[Path, Path]:
    """Each network's folder, as named in the workspace -> the words of its newest checkpoint."""
    found = sorted(file for file in workspace.rglob("*.json") if CHECKPOINT.fullmatch(file.name))
    return {words.parent.relative_to(workspace): words for words in found}


@contextmanager
def _linked(file: Path) -> Iterator[Path]:
    """The file as it is now, whatever the training removes or replaces meanwhile."""
    link = file.with_name(f".{uuid.uuid4().hex}.kept")
    link.hardlink_to(file)
    try:
        yield link
    finally:
        link.unlink()


@dataclass(frozen=True)
class _Checkpoint:
    """A kept checkpoint: by whose attempt, of which network's folder, and its number."""

    attempt: str
    folder: PurePosixPath
    number: str


def _take_up(files: RemoteFiles, place: str, workspace: Path) -> None:
    """Bring each network's newest whole checkpoint here, unless there is a newer one."""
    checkpoints = sorted(_kept_at(files, place), key=lambda one: one.number, reverse=True)
    for folder in {one.folder for one in checkpoints}:
        here = max((file.stem for file in (workspace / folder).glob("[0-9]*.json")), default="")
        newer = (one for one in checkpoints if one.folder == folder and one.number > here)
        taken = next((one for one in newer if _brought(files, place, one, workspace)), None)
        if taken is not None:
            log.info("%s goes on after checkpoint %s of another attempt", folder, taken.number)


def _kept_at(files: RemoteFiles, place: str) -> Iterator[_Checkpoint]:
    for name in files.sizes(place):
        attempt, _, path = name.partition("/")
        inner = PurePosixPath(path)
        if CHECKPOINT.fullmatch(inner.name) and ".." not in inner.parts:
            yield _Checkpoint(attempt, inner.parent, inner.stem)


def _brought(files: RemoteFiles, place: str, one: _Checkpoint, workspace: Path) -> bool:
    """Copy a checkpoint here, tensors first; False, and nothing stands here, if it is not whole."""
    source = f"{place}/{one.attempt}/{one.folder}"
    words = files.read(f"{source}/{one.number}.json") or b""
    sha256 = _sha256_in(words)
    folder = workspace / one.folder
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{uuid.uuid4().hex}.draft"
    try:
        there = files.get(f"{source}/{sha256}{TENSORS}", draft)
        if not there or hash_file(draft) != sha256:
            log.warning("checkpoint %s of another attempt is not whole", one.number)
            return False
        _put(draft, folder / f"{one.number}{TENSORS}")
    finally:
        draft.unlink(missing_ok=True)
    cost = files.read(f"{source}{COST}")
    if cost is not None:
        _write(cost, folder.with_name(f"{folder.name}{COST}"))
    _write(words, folder / f"{one.number}.json")
    return True


def _write(content: bytes, target: Path) -> None:
    draft = target.with_name(f".{uuid.uuid4().hex}.draft")
    draft.write_bytes(content)
    _put(draft, target)


def _put(draft: Path, target: Path) -> None:
    fsync_path(draft)
    draft.replace(target)
    fsync_path(target.parent)


def _sha256_in(words: bytes) -> str | None:
    """What a checkpoint's words say of its tensors."""
    try:
        found = json.loads(words)["sha256"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) and SHA256.fullmatch(found) else None


def _place(key: str) -> str:
    stage, _, name = key.partition("/")
    return f"{stage}/.work-{name}"
