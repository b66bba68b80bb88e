"""Long-running processes, each in a session of its own, so that it is ended with all it started.

Airflow's scheduler gives each task a process group of its own and leaves its children behind
when it is terminated, hence sessions: whatever a process starts stays in its session.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS_TO_END = 30.0


@dataclass(frozen=True)
class Service:
    """A process by its pid file and its log."""

    name: str
    folder: Path

    @property
    def pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start it in a new session, its output in the log; it outlives this process.

        Args:
            command: the program's whole path and its arguments.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log_file), append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        self.pid_file.write_text(f"{pid} {_began(pid)}")

    def leader(self) -> int | None:
        """The pid of the process that was started, if it lives; a reused pid is not it."""
        pid, began = self._noted()
        return pid if pid is not None and began == _began(pid) else None

    def members(self) -> list[int]:
        """All living processes of its session; some may outlive the leader."""
        pid, began = self._noted()
        # A pid cannot be given again while a session bears its number.
        return [] if pid is None or _began(pid) not in ("", began) else _session(pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        for pid in self.members():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _noted(self) -> tuple[int | None, str]:
        if not self.pid_file.exists():
            return None, ""
        pid, _, began = self.pid_file.read_text().partition(" ")
        return int(pid), began


def stop(services: Sequence[Service], patience_seconds: float = SECONDS_TO_END) -> None:
    """End services with all their processes: asked first, and killed if that was not enough."""
    for service in services:
        leader = service.leader()
        if leader is not None:
            os.kill(leader, signal.SIGTERM)
    _wait(services, patience_seconds / 2)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for service in services:
            service.signal(number)
        _wait(services, patience_seconds / 4)
    for service in services:
        if not service.members():
            service.pid_file.unlink(missing_ok=True)


def _wait(services: Sequence[Service], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and any(service.members() for service in services):
        time.sleep(0.1)


def _session(number: int) -> list[int]:
    """Living processes of a session, from Linux's /proc; elsewhere the leader alone is known."""
    stats = {int(file.parent.name): _stat(file) for file in Path("/proc").glob("[0-9]*/stat")}
    if not stats:
        return [number] if _is_alive(number) else []
    return [
        pid for pid, stat in stats.items() if stat and stat[0] != "Z" and int(stat[3]) == number
    ]


def _began(pid: int) -> str:
    """When a living process began, in ticks since boot; empty for a dead one."""
    stat = _stat(Path(f"/proc/{pid}/stat"))
    if stat:
        return "" if stat[0] == "Z" else stat[19]
    return "unknown" if not Path("/proc/self").exists() and _is_alive(pid) else ""


def _stat(file: Path) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on: state, parent, group, session, …"""
    try:
        return file.read_text().rpartition(")")[2].split()
    except OSError:
        # The process ended between the listing and the reading.
        return []


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
