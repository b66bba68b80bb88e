"""The machine: Python, disk, memory, GPU."""

import platform
import resource
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path

from packaging.specifiers import SpecifierSet

from pipelines.artefacts import ArtefactStore
from pipelines.doctor.finding import Finding, State, worst
from pipelines.errors import ArtefactCorrupt
from pipelines.journal import read_all_entries
from pipelines.needed_artefacts import newest_of_each
from pipelines.settings import Settings

GIBIBYTE = 2**30
# A study of some ten thousand subjects writes less in a run; larger ones are told by their last.
LEAST_DISK_BYTES = 2 * GIBIBYTE
LEAST_MEMORY_BYTES, AMPLE_MEMORY_BYTES = GIBIBYTE, 4 * GIBIBYTE
CONTROL_GROUP = Path("/sys/fs/cgroup")
ASKING_SECONDS = 3.0


def python(installation: Settings) -> Finding:
    """A 64-bit Python of a version that the package is made for."""
    found = platform.python_version()
    wanted = _wanted_python()
    if SpecifierSet(wanted).contains(found, prereleases=True) and sys.maxsize > 2**32:
        return Finding("Python", "ok", found)
    remedy = f"Make the environment with a 64-bit Python {wanted}: make setup PYTHON=..."
    return Finding("Python", "fail", f"{found} is not {wanted} of 64 bits", remedy)


def _wanted_python() -> str:
    try:
        return str(metadata("equipoise")["Requires-Python"])
    except PackageNotFoundError:
        return ">=3.11"


def disk(installation: Settings) -> Finding:
    """Room for another run: what the newest artefact of each stage takes, and 2 GiB at least."""
    needed = max(LEAST_DISK_BYTES, _bytes_of_a_run(installation))
    remedy = "Free space: equipoise prune tells what nothing rests on; or move EQUIPOISE_HOME."
    found = []
    for place in sorted({there(installation.home), there(installation.artefacts_dir)}):
        free = shutil.disk_usage(place).free
        words = f"{_gib(free)} GiB free at {place}, a run takes up to {_gib(needed)}"
        state = _state(free, needed, 2 * needed)
        found.append(Finding("disk", state, words, remedy))
    return worst("disk", found, found[0].words)


def _bytes_of_a_run(installation: Settings) -> int:
    """The files of the newest artefact of each stage of each study; study by study they are one."""
    artefacts, total = ArtefactStore(installation.artefacts_dir), 0
    for key in newest_of_each((one.study, one.stage, one.key) for one in read_all_entries()):
        try:
            total += sum(file["bytes"] for file in artefacts.manifest(key)["files"].values())
        except ArtefactCorrupt:
            continue
    return total


def there(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next((folder for folder in (path, *path.parents) if folder.exists()), Path("/"))


def memory(installation: Settings) -> Finding:
    """What this process could still take, of the machine, its container and its own limit."""
    limits = [_machines(), *_containers(), *_own()]
    free = min(limits)
    words = f"{_gib(free)} GiB can be taken"
    remedy = "End what else runs, raise the limit of the container or of the shell (ulimit -v), "
    remedy += "or cut the stages: EQUIPOISE_SHARDS."
    return Finding("memory", _state(free, LEAST_MEMORY_BYTES, AMPLE_MEMORY_BYTES), words, remedy)


def _machines() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    (available,) = (line.split()[1] for line in lines if line.startswith("MemAvailable"))
    return int(available) * 1024


def _containers() -> list[int]:
    """Of control groups of either version; what is cached of files is given back when asked for."""
    for limit, used, counts in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        file = CONTROL_GROUP / limit
        if file.exists() and (words := file.read_text().strip()).isdecimal():
            taken = int((CONTROL_GROUP / used).read_text())
            return [int(words) - taken + _cached((CONTROL_GROUP / counts).read_text())]
    return []


def _cached(counts: str) -> int:
    found = dict(line.split() for line in counts.splitlines())
    return int(found.get("total_inactive_file", found.get("inactive_file", 0)))


def _own() -> list[int]:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return [] if soft == resource.RLIM_INFINITY else [soft]


def gpu(installation: Settings) -> Finding:
    """A driver that answers, and a torch that is built for it; a machine without GPU can work."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return Finding("GPU", "warn", "none: models train on the CPU", "Nothing has to be done.")
    try:
        listed = subprocess.run(
            [command, "-L"], capture_output=True, text=True, timeout=ASKING_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return _silent_driver(f"the driver did not answer in {ASKING_SECONDS:.0f} s")
    if listed.returncode:
        return _silent_driver(f"nvidia-smi ended with {listed.returncode}")
    count = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    if count and version("torch").endswith("+cpu"):
        remedy = "Install torch's CUDA build, or hide the GPU: a training would be refused."
        return Finding("GPU", "fail", "torch is built for the CPU alone", remedy)
    return Finding("GPU", "ok", f"{count} found")


def _silent_driver(words: str) -> Finding:
    remedy = "Run nvidia-smi by hand: a driver that was updated needs a restart of the machine."
    return Finding("GPU", "fail", words, remedy)


def _state(found: int, least: int, ample: int) -> State:
    return "fail" if found < least else "warn" if found < ample else "ok"


def _gib(size: int) -> str:
    return f"{size / GIBIBYTE:,.1f}"
