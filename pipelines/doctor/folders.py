"""The installation's folders: may they be written, and are its secrets its owner's alone?"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from pipelines.doctor.certificates import ending_certificates
from pipelines.doctor.finding import Finding, worst
from pipelines.doctor.machine import there
from pipelines.pseudonyms import KEY_FILE, RETIRED_FILE
from pipelines.publication.folders import PublicationFolders
from pipelines.settings import Settings

KEYS = "secrets"
TOMBSTONES = "tombstones"
OTHERS = 0o077


def write_permission(installation: Settings) -> Finding:
    """A file can be made in every folder that runs write, or where it would be made."""
    wanted = (
        installation.home,
        installation.artefacts_dir,
        installation.journal_dir,
        installation.releases_dir,
        installation.approvals_dir,
        installation.trials_dir,
        installation.tunings_dir,
        installation.reports_dir,
        installation.publication_dir,
        installation.secrets_dir,
        installation.airflow_home,
        installation.home / "anchors",
    )
    refused = [str(folder) for folder in wanted if not _can_be_written(there(folder))]
    if not refused:
        return Finding("write permission", "ok", f"{len(wanted)} folders")
    remedy = "Give the account that runs Equipoise these folders (chown, chmod u+rwx), and see "
    remedy += "that no file lies in a folder's place."
    return Finding("write permission", "fail", f"not writable: {', '.join(refused)}", remedy)


def _can_be_written(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def secrets(installation: Settings) -> Finding:
    """Keys are there where something rests on them, nobody else may read one, nor one ends soon."""
    found = [
        *_open_to_others(installation),
        *_missing(installation),
        *_in_the_environment(),
        *ending_certificates(installation),
    ]
    count = sum(file.is_file() for file in installation.secrets_dir.rglob("*"))
    return worst("secrets", found, f"{count} files, readable by their owner alone")


def _open_to_others(installation: Settings) -> Iterator[Finding]:
    private = PublicationFolders(installation.publication_dir).private
    roots = (installation.secrets_dir, private)
    below = [path for root in roots if root.exists() for path in (root, *root.rglob("*"))]
    named = [Path(text) for name, text in os.environ.items() if _names_our_file(name) and text]
    for path in [*below, *(file for file in named if file.exists())]:
        if path.stat().st_mode & OTHERS and not _is_mounted(path):
            remedy = "Take the rights of others away: chmod 600 on files, 700 on folders."
            yield Finding(KEYS, "fail", f"others may open {path}", remedy)
    for file in named:
        if not file.exists():
            remedy = "Write the file, or unset the variable that names it."
            yield Finding(KEYS, "fail", f"{file} is not there", remedy)


def _names_our_file(variable: str) -> bool:
    return variable.startswith("EQUIPOISE_") and variable.endswith("_FILE")


def _is_mounted(path: Path) -> bool:
    """A container's secrets are mounted read-only with modes that are not ours to change."""
    return path.is_relative_to("/run/secrets")


def _missing(installation: Settings) -> Iterator[Finding]:
    """Names are kept of records that are not public alone: the installation's key made theirs.

    Names and tombstones of a study are both found again by the study's own key.
    """
    crosswalk = PublicationFolders(installation.publication_dir).private / "crosswalk"
    known = {file.stem for file in crosswalk.glob("[!.]*.names")}
    hashed = known | {file.stem for file in crosswalk.glob("[!.]*.erased")}
    keys = installation.secrets_dir
    wanted = [keys / KEY_FILE] if known or (keys / RETIRED_FILE).exists() else []
    wanted += [keys / TOMBSTONES / f"{study}.key" for study in sorted(hashed)]
    gone = [str(file.relative_to(keys)) for file in wanted if not file.is_file()]
    if gone:
        remedy = "Restore the folder of secrets from its backup: a new key is another's."
        words = f"people are known by keys that are gone: {', '.join(gone)}"
        yield Finding(KEYS, "fail", words, remedy)


def _in_the_environment() -> Iterator[Finding]:
    """A password in a variable is in the environment of every child."""
    try:
        parts = conninfo_to_dict(os.environ.get("EQUIPOISE_DATABASE_URL", ""))
    except ProgrammingError:
        parts = {}
    if "password" in parts:
        remedy = (
            "Write the URL into a file of its owner and name it in EQUIPOISE_DATABASE_URL_FILE."
        )
        yield Finding(KEYS, "warn", "EQUIPOISE_DATABASE_URL holds a password", remedy)
