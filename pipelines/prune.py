"""Remove artefacts that nothing rests on: first what and how much, then, if asked, for good.

An artefact goes if it is a step that can be made again, nothing that stays was made of it
(``needed_artefacts``), and neither was it made nor used by a run for some days. The journal tells
of every use; while a training is under way, all stays that was used since a day before it began.
What goes is renamed first and removed afterwards, so that a process killed on the way leaves no
half of an artefact, and what a run took up meanwhile is renamed back.
"""

import fcntl
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.artefacts import DRAFT_LIFETIME_SECONDS, ArtefactStore
from pipelines.durable import only_writer, private_folder
from pipelines.errors import StudyInvalid
from pipelines.held_locks import held_locks
from pipelines.journal import read_all_entries
from pipelines.needed_artefacts import keys_of, needed_keys, newest_of_each
from pipelines.restoring import require_restored
from pipelines.settings import Settings, settings

DAY_SECONDS = 24 * 3600
DEFAULT_DAYS = 7.0
# No lock tells of a training on another machine: it may last 24 h, be tried three times, and what
# it reads was used the day before.
SHARED_LEAST_DAYS = 4
TRASH = ".trash-"
# A file system stamps by a coarser clock than ours; what is planned is a day old at least.
CLOCKS_APART_SECONDS = 60.0


@dataclass(frozen=True)
class Removal:
    """One folder that would go. key: of an artefact; None of what a killed process left."""

    path: Path
    key: str | None
    kind: str


@dataclass(frozen=True)
class PrunePlan:
    """What would go, and how many artefacts stay.

    size_bytes: what the disk here would get back; shared_bytes: the shared store. unfinished: files
    there that killed uploads and trainings left, with their bytes.
    """

    removals: tuple[Removal, ...]
    unfinished: Mapping[str, int]
    kept: int
    size_bytes: int
    shared_bytes: int
    made_at_unix: float


def plan_prune(
    artefacts: ArtefactStore,
    installation: Settings,
    *,
    study: str | None = None,
    older_than_days: float = DEFAULT_DAYS,
) -> PrunePlan:
    """What a prune would remove now; nothing is touched.

    Args:
        study: only what this study made and no other one; what killed processes left stays too.
        older_than_days: neither made nor used for so long; at least 1, with a shared store 4.

    Raises:
        StudyInvalid: the days are fewer.
        ArtefactCorrupt, DatabaseUnavailable: nobody can say what is needed.
        BackupInvalid: a restore into this home did not end.
    """
    require_restored(installation.home)
    least_days = 1 if artefacts.shared is None else SHARED_LEAST_DAYS
    if not older_than_days >= least_days:
        raise _too_young(least_days)
    now = time.time()
    cut = _cut(artefacts.root, now - older_than_days * DAY_SECONDS)
    there = keys_of(artefacts)
    used, newest = _uses()
    stays = needed_keys(artefacts, installation, there) | newest
    old = [key for key in there if key not in stays and used.get(key, 0.0) < cut]
    old = [key for key in old if _made_at(artefacts, key) < cut]
    if study is not None:
        own = _made_by(study)
        old = [key for key in old if key in own]
    removals = [Removal(artefacts.path(key), key, key.split("/")[0]) for key in old]
    unfinished: Mapping[str, int] = {}
    if study is None:
        removals += _leftovers(artefacts, cut, now)
        unfinished = _unfinished(artefacts, min(cut, now - DRAFT_LIFETIME_SECONDS))
    return PrunePlan(
        tuple(removals),
        unfinished,
        kept=len(there) - len(old),
        size_bytes=_freed([removal.path for removal in removals]),
        shared_bytes=_shared_bytes(artefacts, old) + sum(unfinished.values()),
        made_at_unix=now,
    )


def rows_of(plan: PrunePlan) -> list[tuple[str, str, str]]:
    """What would go by its kind: folders, and megabytes that the disk would get back of it."""
    kinds = sorted({removal.kind for removal in plan.removals})
    of_kind = {kind: [one.path for one in plan.removals if one.kind == kind] for kind in kinds}
    return [
        (kind, f"{len(paths):,}", f"{_freed(paths) / 1_000_000:,.1f}")
        for kind, paths in of_kind.items()
    ]


def carry_out(plan: PrunePlan, artefacts: ArtefactStore) -> int:
    """Remove what the plan names, in the shared store too; returns how many it removed.

    Raises:
        StoreLocked: another process prunes.
        ArtefactStoreUnavailable: the shared store cannot be used; what is gone is gone.
        BackupInvalid: a restore into this home did not end.
    """
    require_restored(settings().home)
    settings().home.mkdir(parents=True, exist_ok=True)
    # One lock for this folder, and one in the home, which machines that share a store share too.
    with (
        only_writer(private_folder(artefacts.root) / ".prune.lock", wait_seconds=1.0),
        only_writer(settings().home / ".prune.lock", wait_seconds=1.0),
    ):
        moved = {one: _move_away(one.path, plan.made_at_unix) for one in plan.removals}
        used = {key for key, at in _uses()[0].items() if at >= plan.made_at_unix}
        for removal, trash in moved.items():
            if removal.key in used and trash is not None and not removal.path.exists():
                trash.rename(removal.path)
            elif trash is not None:
                shutil.rmtree(trash)
        left = [removal for removal in plan.removals if removal.key not in used]
        gone = [removal for removal in left if not removal.path.exists()]
        if artefacts.shared is not None:
            for removal in gone:
                if removal.key is not None:
                    artefacts.shared.remove(removal.key)
        if plan.unfinished and artefacts.shared is not None:
            # What an attempt took up meanwhile is silent no more.
            still = _unfinished(artefacts, plan.made_at_unix - DRAFT_LIFETIME_SECONDS)
            artefacts.shared.files.remove(name for name in plan.unfinished if name in still)
    return len(gone)


def _move_away(path: Path, listed_at_unix: float) -> Path | None:
    """Under another name in one step; None where another process was first."""
    trash = path.parent / f"{TRASH}{path.name.lstrip('.')}-{uuid.uuid4().hex[:8]}"
    try:
        if not path.name.startswith(".work-"):
            return path.rename(trash)
        with _left_alone(path, listed_at_unix) as is_left:
            return path.rename(trash) if is_left else None
    except FileNotFoundError:
        return None


@contextmanager
def _left_alone(workspace: Path, since_unix: float) -> Iterator[bool]:
    """Whether nobody worked in a workspace since; within the block nobody begins to."""
    lock = workspace / ".lock"
    if not lock.exists():
        yield _newest(workspace) < since_unix - CLOCKS_APART_SECONDS
        return
    with lock.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield _newest(workspace) < since_unix - CLOCKS_APART_SECONDS


def _unfinished(artefacts: ArtefactStore, silent_since_unix: float) -> Mapping[str, int]:
    """What killed uploads and trainings left in the shared store: file -> bytes."""
    if artefacts.shared is None:
        return {}
    return artefacts.shared.unfinished(datetime.fromtimestamp(silent_since_unix, UTC))


def _cut(root: Path, cut: float) -> float:
    """Not after the day before the oldest training under way began: its inputs must stay."""
    began = [
        held.file.stat().st_mtime - DAY_SECONDS
        for held in held_locks(root)
        if held.file.exists() and held.file.parent != root
    ]
    return min([cut, *began])


def _uses() -> tuple[dict[str, float], set[str]]:
    """When each key was last made or reused, and the newest key of each stage of each study."""
    entries = list(read_all_entries())
    used = {entry.key: entry.at_unix for entry in sorted(entries, key=lambda one: one.at_unix)}
    return used, newest_of_each((one.study, one.stage, one.key) for one in entries)


def _made_at(artefacts: ArtefactStore, key: str) -> float:
    """When it came to lie here, or in the shared store, whichever was later."""
    moments = [0.0]
    if artefacts.path(key).exists():
        moments.append(artefacts.path(key).stat().st_mtime)
    written = artefacts.shared and artefacts.shared.files.written_at(f"{key}.json")
    return max([*moments, written.timestamp()] if written else moments)


def _shared_bytes(artefacts: ArtefactStore, keys: Sequence[str]) -> int:
    if artefacts.shared is None:
        return 0
    return sum(sum(artefacts.shared.files.sizes(key).values()) for key in keys)


def _made_by(study: str) -> set[str]:
    entries = list(read_all_entries())
    others = {entry.key for entry in entries if entry.study != study}
    return {entry.key for entry in entries if entry.study == study} - others


# ---- what killed processes left ------------------------------------------------------------------


def _leftovers(artefacts: ArtefactStore, cut: float, now: float) -> Iterator[Removal]:
    """Old drafts, trash of a killed prune, workspaces that nobody has worked in since ``cut``."""
    locked = [held.file for held in held_locks(artefacts.root)]
    yesterday = now - DRAFT_LIFETIME_SECONDS
    rules: dict[str, Callable[[Path], bool]] = {
        ".draft-": lambda path: _newest(path) < yesterday,
        TRASH: lambda path: True,
        ".unshared-": lambda path: _newest(path) < min(cut, yesterday),
        ".work-": lambda path: _newest(path) < min(cut, yesterday) and not _holds(path, locked),
    }
    for folder in sorted(artefacts.root.glob("[!.]*/.*")):
        for start, is_left in rules.items():
            if folder.name.startswith(start) and folder.is_dir() and is_left(folder):
                yield Removal(folder, None, f"{folder.parent.name}: left by a killed process")


def _newest(folder: Path) -> float:
    """When anything in a folder was last changed; of one that goes meanwhile: now."""
    times = []
    for path in (folder, *folder.rglob("*")):
        try:
            times.append(path.lstat().st_mtime)
        except FileNotFoundError:
            continue
    return max(times, default=time.time())


def _holds(folder: Path, locked: Sequence[Path]) -> bool:
    return any(file.is_relative_to(folder) for file in locked)


def _freed(folders: Sequence[Path]) -> int:
    """Bytes: of files whose every name goes; shards and what was merged of them share files."""
    names: Counter[tuple[int, int]] = Counter()
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    for folder in folders:
        for parent, _, files in os.walk(folder):
            for name in files:
                found = Path(parent, name).lstat()
                names[found.st_dev, found.st_ino] += 1
                sizes[found.st_dev, found.st_ino] = (found.st_size, found.st_nlink)
    return sum(size for file, (size, links) in sizes.items() if names[file] >= links)


def _too_young(least_days: int) -> StudyInvalid:
    return StudyInvalid(
        f"What was used within {least_days} days is never removed from this store.",
        where="--older-than-days",
        remedy=f"Name {least_days} or more.",
    )
