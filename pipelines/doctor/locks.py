"""The lock of versions against what is installed, and the locks of files that are held."""

import re
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

from pipelines.doctor.finding import Finding, worst
from pipelines.held_locks import HeldLock, held_locks
from pipelines.settings import Settings

LOCKED_VERSIONS = Path(__file__).parents[2] / "uv.lock"
# No training, and no task, takes as long.
LONGEST_SECONDS = 24 * 3600
SHOWN = 5


def lock(installation: Settings, versions: Path = LOCKED_VERSIONS) -> Finding:
    """What is installed is what was tested together; no lock has been held for over a day."""
    found = [*_other_versions(versions), *_held_long(held_locks(installation.home))]
    held = held_locks(installation.home)
    holders = ", ".join(f"{one.file.parent.name}/{one.file.name} by {_who(one)}" for one in held)
    well = "versions as locked" if versions.exists() else "no lock of versions here"
    return worst("lock", found, f"{well}; held: {holders or 'none'}")


def _other_versions(file: Path) -> Iterator[Finding]:
    if not file.exists():
        return  # installed from a wheel: its own requirements were checked then
    locked: dict[str, set[str]] = {}
    for package in tomllib.loads(file.read_text(encoding="utf-8"))["package"]:
        if "version" in package:
            locked.setdefault(_normal(package["name"]), set()).add(_public(package["version"]))
    other = sorted(
        f"{name} {version}"
        for name, version in _installed().items()
        if name in locked and version not in locked[name]
    )
    if other:
        more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
        words = f"installed in another version than locked: {', '.join(other[:SHOWN])}{more}"
        yield Finding("lock", "fail", words, "Install what is locked: uv sync --locked")


def _installed() -> dict[str, str]:
    """Name -> version, of the folders' own names: to parse each description takes a second."""
    folders = [path for entry in reversed(sys.path) for path in Path(entry).glob("*.dist-info")]
    named = (folder.stem.split("-", 1) for folder in folders)
    return {_normal(name): _public(version) for name, version in named}


def _public(version: str) -> str:
    """Without what a build adds of its own, as +cpu."""
    return version.split("+")[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _held_long(held: list[HeldLock]) -> Iterator[Finding]:
    for one in held:
        if time.time() - one.file.stat().st_mtime > LONGEST_SECONDS:
            remedy = "Look what that process does, and end it: the lock goes with it. "
            remedy += "There is no file to delete."
            yield Finding(
                "lock", "warn", f"{one.file} is held since yesterday by {_who(one)}", remedy
            )


def _who(held: HeldLock) -> str:
    return f"process {held.process}" if held.process else "another machine or container"
