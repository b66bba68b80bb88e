"""Remove artefacts that nothing rests on: first what and how much, then, if asked, for good.

An artefact goes if it is a step that can be made again, nothing that stays was made of it
(``needed_artefacts``), and neither was it made nor used by a run for some days. The journal tells
of every use; while a training is under way, all stays that was used since a day before it began.
What goes is renamed first and removed afterwards, so that a process killed on the way leaves no
half of an artefact, and what a run took up meanwhile is renamed back.
"""

import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.artefacts import DRAFT_LIFETIME_SECONDS, ArtefactStore
from pipelines.durable import only_writer, private_folder
from pipelines.errors import StudyInvalid
from pipelines.held_locks import held_locks
from pipelines.journal import read_all_entries
from pipelines.needed_artefacts import keys_of, needed_keys, newest_of_each
from pipelines.settings import Settings

DAY_SECONDS = 24 * 3600
DEFAULT_DAYS = 7.0
TRASH = ".trash-"
# Tunings keep their journal of trials in their workspace: it is a record, and no leftover.
WORKSPACES_THAT_STAY = frozenset({"plan_trials"})


@dataclass(frozen=True)
class Removal:
    """One folder that would go. key: of an artefact; None of what a killed process left."""

    path: Path
    key: str | None
    kind: str


@dataclass(frozen=True)
class PrunePlan:
    """What would go, and how many artefacts stay.

    size_bytes: what the disk here would get back; shared_bytes: the shared store.
    """

    removals: tuple[Removal, ...]
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
        older_than_days: neither made nor used for so long; at least 1.

    Raises:
        StudyInvalid: the days are fewer than one.
        ArtefactCorrupt, DatabaseUnavailable: nobody can say what is needed.
    """
    if not older_than_days >= 1:
        raise _too_young()
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
    if study is None:
        removals += _leftovers(artefacts, cut, now)
    return PrunePlan(
        tuple(removals),
        kept=len(there) - len(old),
        size_bytes=_freed([removal.path for removal in removals]),
        shared_bytes=_shared_bytes(artefacts, old),
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
    """
    root = private_folder(artefacts.root)
    with only_writer(root / ".prune.lock", wait_seconds=1.0):
        moved = {removal: _move_away(removal.path) for removal in plan.removals}
        used = {key for key, at in _uses()[0].items() if at >= plan.made_at_unix}
        for removal, trash in moved.items():
            if removal.key in used and trash is not None and not removal.path.exists():
                trash.rename(removal.path)
            elif trash is not None:
                shutil.rmtree(trash)
        gone = [removal for removal in plan.removals if removal.key not in used]
        if artefacts.shared is not None:
            for removal in gone:
                if removal.key is not None:
                    artefacts.shared.remove(removal.key)
            artefacts.shared.remove_unfinished()
    return len(gone)


def _move_away(path: Path) -> Path | None:
    """Under another name in one step; None where another process was first."""
    trash = path.parent / f"{TRASH}{path.name.lstrip('.')}-{uuid.uuid4().hex[:8]}"
    try:
        return path.rename(trash)
    except FileNotFoundError:
        return None


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
            stays = start == ".work-" and folder.parent.name in WORKSPACES_THAT_STAY
            if folder.name.startswith(start) and folder.is_dir() and not stays and is_left(folder):
                yield Removal(folder, None, f"{folder.parent.name}: left by a killed process")


def _newest(folder: Path) -> float:
    """When anything in a folder was last changed."""
    times = [folder.stat().st_mtime]
    for path in folder.rglob("*"):
        try:
            times.append(path.lstat().st_mtime)
        except FileNotFoundError:
            continue
    return max(times)


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


def _too_young() -> StudyInvalid:
    return StudyInvalid(
        "What was used within a day is never removed.",
        where="--older-than-days",
        remedy="Name 1 day or more.",
    )
