"""The current predictions as Parquet: files that are never replaced, and a link to the newest.

Polars, pandas and DuckDB open a Parquet file more than once by its name: first its footer, then its
columns. A file renamed over another in between is read as neither. So a name is one content for
ever (its hash), and a reader who resolves the link first reads one publication:
``Path("predictions.parquet").resolve()``.
"""

import hashlib
from pathlib import Path

from pipelines.durable import READ_ONLY_MODE, fsync_path, rename_into_place
from pipelines.publication.folders import PublicationFolders


def place_parquet(draft: Path, folders: PublicationFolders, *, keep_previous: bool) -> Path:
    """Give the draft its name and point the link at it; returns the file itself.

    The file before stays for a notebook that resolved the link a moment ago, unless what it holds
    was withdrawn; older ones are removed.
    """
    folders.parquet_files.mkdir(exist_ok=True)
    with draft.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    placed = folders.parquet_files / f"predictions-{digest[:16]}.parquet"
    previous = folders.parquet.resolve()
    rename_into_place(draft, placed, READ_ONLY_MODE)
    _point(folders.parquet, placed, folders)
    kept = {placed.name, previous.name} if keep_previous else {placed.name}
    for file in folders.parquet_files.iterdir():
        if file.name not in kept:
            file.unlink()
    return placed


def _point(link: Path, target: Path, folders: PublicationFolders) -> None:
    """Replace the link whole; it is relative, so that the folder can be moved."""
    draft = folders.draft(link.name)
    draft.symlink_to(target.relative_to(link.parent))
    draft.replace(link)
    fsync_path(link.parent)
