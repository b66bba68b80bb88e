"""The command lines and environments of an installation's processes while they run."""

from collections.abc import Iterator
from pathlib import Path


def running_processes(home: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """(Number, command line, environment) of each process whose environment names the home."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            surroundings = (folder / "environ").read_bytes()
            if str(home).encode() in surroundings:
                yield int(folder.name), (folder / "cmdline").read_bytes(), surroundings
        except OSError:
            continue  # it ended while it was looked at
