"""Which artefacts hold a person, here and in the shared store; what cannot be read is told.

Drafts and workspaces of this machine are not looked into: they are no artefacts, may be half
written, and go a day after a killed process left them.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from pipelines.artefacts import ArtefactStore
from pipelines.durable import private_folder
from pipelines.errors import ArtefactStoreUnavailable, EquipoiseError

if TYPE_CHECKING:
    from pipelines.remote_artefacts import RemoteArtefacts

# The columns that name a person, in whatever table of an artefact; `subject` is the quarantine's,
# as the source writes it.
NAMING = ("subject_id", "source_id", "subject")
ARRAYS = ("subject.npy", "cluster.npy")
SHARED = "the shared store of artefacts"
# What a torn, foreign or vanished file is answered with.
UNREADABLE = (EquipoiseError, OSError, EOFError, ValueError, PolarsError)

Files = Iterable[AbstractContextManager[Path]]


@dataclass(frozen=True)
class Found:
    """Keys ``stage/hash`` in order. unread: at least one file could not be looked into."""

    held_by: tuple[str, ...]
    unread: tuple[str, ...]


def search_artefacts(artefacts: ArtefactStore, names: set[str]) -> Found:
    """Look for a person's names (pseudonym and source id) in every artefact; raises none of ours.

    What this machine has not is fetched file by file, onto the disk of its artefacts, and let go.
    """
    states: dict[str, str] = {}
    for folder in artefacts.root.glob("[!.]*/[!.]*"):
        if folder.is_dir():
            here = (nullcontext(file) for file in folder.rglob("*"))
            states[f"{folder.parent.name}/{folder.name}"] = _state(here, names)
    try:
        for key, files in _only_shared(artefacts):
            states[key] = _state(files, names)
    except ArtefactStoreUnavailable:
        states[SHARED] = "unread"
    held_by, unread = (
        tuple(sorted(key for key, state in states.items() if state == wanted))
        for wanted in ("held", "unread")
    )
    return Found(held_by, unread)


def _only_shared(artefacts: ArtefactStore) -> Iterator[tuple[str, Files]]:
    """What the shared store has and this machine has not."""
    shared = artefacts.shared
    if shared is None:
        return
    for key in (key for stage in shared.stages() for key in shared.keys(stage)):
        if not artefacts.path(key).exists():
            yield key, _fetched_files(shared, key, artefacts.path(key).parent)


def _fetched_files(shared: "RemoteArtefacts", key: str, beside: Path) -> Files:
    for name, file in (shared.manifest(key) or {"files": {}})["files"].items():
        if _may_name(PurePosixPath(name)):
            yield _fetched(shared, key, name, file["sha256"], beside)


@contextmanager
def _fetched(
    shared: "RemoteArtefacts", key: str, name: str, sha256: str, beside: Path
) -> Iterator[Path]:
    """One file for as long as it is read; a killed process leaves a draft, which is swept."""
    private_folder(beside.parent)
    with TemporaryDirectory(prefix=".draft-", dir=private_folder(beside)) as folder:
        shared.fetch_file(key, name, sha256, Path(folder))
        yield Path(folder, name)


def _state(files: Files, names: set[str]) -> Literal["held", "unread", "free"]:
    """A file that cannot be read hides no other one of its artefact."""
    state: Literal["unread", "free"] = "free"
    try:
        for each in files:
            try:
                with each as file:
                    if _holds(file, names):
                        return "held"
            except ArtefactStoreUnavailable:
                raise
            except UNREADABLE:
                state = "unread"
    except ArtefactStoreUnavailable:
        raise
    except UNREADABLE:
        state = "unread"
    return state


def _may_name(file: PurePosixPath) -> bool:
    return file.suffix == ".parquet" or file.name in ARRAYS


def _holds(file: Path, names: set[str]) -> bool:
    if not _may_name(PurePosixPath(file)):
        return False
    if file.name in ARRAYS:
        numbers = [int(name) for name in names if name.isdecimal() and int(name) < 2**63]
        return bool(np.isin(np.load(file, mmap_mode="r"), numbers).any())
    table = pl.scan_parquet(file)
    named = [name for name in table.collect_schema().names() if name in NAMING]
    if not named:
        return False
    found = pl.any_horizontal(pl.col(name).cast(pl.String).is_in(sorted(names)) for name in named)
    return bool(table.select(found.any()).collect().item())
