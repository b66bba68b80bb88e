"""All checks at once, each in a thread of its own; one that does not answer in time has failed."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from threading import Thread

from pipelines.doctor.clock import clock, time_zones
from pipelines.doctor.database import database_rights
from pipelines.doctor.finding import Check, Finding
from pipelines.doctor.folders import secrets, write_permission
from pipelines.doctor.locks import lock
from pipelines.doctor.machine import disk, gpu, memory, python
from pipelines.doctor.services import executor, ports
from pipelines.settings import Settings

CHECKS: Mapping[str, Check] = {
    "Python": python,
    "disk": disk,
    "memory": memory,
    "GPU": gpu,
    "database rights": database_rights,
    "clock": clock,
    "secrets": secrets,
    "lock": lock,
    "ports": ports,
    "time zones": time_zones,
    "write permission": write_permission,
    "executor import": executor,
}
# With the start of the program, all of it ends within 5 s.
ALL_SECONDS = 4.6


def examine(installation: Settings, checks: Mapping[str, Check] = CHECKS) -> list[Finding]:
    """The finding of each check, in their order, within ``ALL_SECONDS``."""
    found: dict[str, Finding] = {}

    def answer(name: str, check: Check) -> None:
        try:
            found[name] = check(installation)
        except Exception as error:
            # The words of an error that nobody foresaw may hold a value.
            words = f"the check ended with {type(error).__name__}"
            found[name] = Finding(name, "fail", words, "Repair what it looked at, or report it.")

    threads = [
        Thread(target=answer, args=(name, check), daemon=True) for name, check in checks.items()
    ]
    deadline = time.monotonic() + ALL_SECONDS
    # The last one takes the longest: it begins first.
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [found.get(name) or _silent(name) for name in checks]


def as_json(findings: list[Finding]) -> list[dict[str, str]]:
    """One object per check: name, state, words, remedy."""
    return [asdict(one) for one in findings]


def _silent(name: str) -> Finding:
    remedy = "What it asks does not answer: a server, a driver, a file system that is away?"
    return Finding(name, "fail", f"no answer in {ALL_SECONDS} s", remedy)
