"""The clock against others that know the time, and the zones that times are told in."""

import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg

from pipelines.doctor.finding import Finding, worst
from pipelines.doctor.machine import there
from pipelines.errors import DatabaseUnavailable
from pipelines.journal import read_all_entries
from pipelines.settings import Settings

ANSWER_SECONDS = 3
WARN_SECONDS, FAIL_SECONDS = 2.0, 60.0
KEEP_TIME = "Keep the clock by NTP (timedatectl set-ntp true) on this machine and the server."
# Of the exchanges that most studies name; others' zones come from the same package.
EXCHANGES = (
    "America/New_York",
    "America/Chicago",
    "America/Toronto",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Paris",
    "Europe/Berlin",
    "Europe/Zurich",
    "Asia/Tokyo",
    "Asia/Hong_Kong",
    "Asia/Shanghai",
    "Asia/Kolkata",
    "Australia/Sydney",
)


def clock(installation: Settings) -> Finding:
    """Against the database's clock, the file system's, and the newest moment that was recorded."""
    url = _server(installation)
    found = [
        *_against("the file system's", _file_systems(there(installation.home))),
        *_against("the database's", _databases(url)),
        *_behind(installation),
    ]
    others = "file system" + (" and database" if url else "")
    return worst("clock", found, f"within {WARN_SECONDS:.0f} s of the {others}'s")


def _against(whose: str, drift_seconds: float | None) -> Iterator[Finding]:
    if drift_seconds is not None and abs(drift_seconds) > WARN_SECONDS:
        words = f"{abs(drift_seconds):.0f} s off {whose} clock"
        is_far = abs(drift_seconds) > FAIL_SECONDS
        yield Finding("clock", "fail" if is_far else "warn", words, KEEP_TIME)


def _file_systems(folder: Path) -> float | None:
    """Seconds; a folder that another machine serves has that machine's clock."""
    try:
        before = time.time()
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b".")
            file.flush()
            written = os.stat(file.name).st_mtime
        return written - (before + time.time()) / 2
    except OSError:
        return None


def _server(installation: Settings) -> str | None:
    """None where there is none, or no login of it here: another check says so."""
    try:
        return installation.database_url
    except DatabaseUnavailable:
        return None


def _databases(url: str | None) -> float | None:
    """Seconds; None where there is no server, or it does not answer: another check says so."""
    if url is None:
        return None
    try:
        with psycopg.connect(url, connect_timeout=ANSWER_SECONDS) as server:
            before = time.time()
            row = server.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
            return float(row[0]) - (before + time.time()) / 2 if row else None
    except psycopg.Error:
        return None


def _behind(installation: Settings) -> Iterator[Finding]:
    """What was recorded lies in the past, or the clock was set back since."""
    newest = max((entry.at_unix for entry in read_all_entries()), default=0.0)
    if newest - time.time() > FAIL_SECONDS:
        words = f"{newest - time.time():,.0f} s behind the newest entry of the journal"
        yield Finding("clock", "fail", words, KEEP_TIME)


def time_zones(installation: Settings) -> Finding:
    """UTC, the exchanges' zones and those that studies name can be read; TZ names one, if set."""
    named = sorted({"UTC", *EXCHANGES, *_of_studies(installation.studies_dir)})
    unknown = [zone for zone in named if not _is_zone(zone)]
    found = []
    if unknown:
        remedy = "Install the zones: the package tzdata, of the system or of Python."
        words = f"no such zone: {', '.join(unknown)}"
        found.append(Finding("time zones", "fail", words, remedy))
    own = os.environ.get("TZ", "").removeprefix(":")
    if own and not own.startswith("/") and not _is_zone(own):
        # The C library takes an unknown zone for UTC without a word.
        remedy = "Set TZ to a zone of the IANA list, as Europe/Paris, or unset it."
        found.append(Finding("time zones", "fail", "TZ names no zone", remedy))
    if os.environ.get("AIRFLOW__CORE__DEFAULT_TIMEZONE", "utc").lower() not in ("utc", "etc/utc"):
        remedy = "Unset AIRFLOW__CORE__DEFAULT_TIMEZONE: schedules say their zone themselves."
        found.append(Finding("time zones", "warn", "Airflow's default zone is not UTC", remedy))
    return worst("time zones", found, f"{len(named)} can be read")


def _of_studies(folder: Path) -> set[str]:
    words = re.compile(r"^\s*time_zone:\s*[\"']?([A-Za-z_+\-/]+)", re.MULTILINE)
    return {zone for file in folder.glob("*.yaml") for zone in words.findall(file.read_text())}


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
