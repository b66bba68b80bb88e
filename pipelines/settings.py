"""Where an installation keeps things: environment variables, and folders below them."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import DatabaseUnavailable, StudyInvalid
from pipelines.shards import BUCKETS

MINUTES_OF_A_DAY = 1440


@dataclass(frozen=True)
class Settings:
    """The folders of one installation.

    database: the URL to use in the place of the environment's; it may hold a password.
    """

    home: Path
    studies_dir: Path
    data: Path | None = None
    shards: int = 1
    artefacts_url: str | None = None
    artefacts: Path | None = None
    checkpoint_minutes: float = 5.0
    database: str | None = field(default=None, repr=False)

    @property
    def data_dir(self) -> Path:
        """Where studies that read local files look for their folders."""
        return self.data or self.home / "data"

    @property
    def artefacts_dir(self) -> Path:
        """The artefacts of this machine: all there are, or copies of a shared store's."""
        return self.artefacts or self.home / "artefacts"

    @property
    def releases_dir(self) -> Path:
        return self.home / "releases"

    @property
    def approvals_dir(self) -> Path:
        return self.home / "approvals"

    @property
    def reports_dir(self) -> Path:
        return self.home / "reports"

    @property
    def trials_dir(self) -> Path:
        return self.home / "trials"

    @property
    def tunings_dir(self) -> Path:
        """A folder for each tuning: what its trials, on whatever machine, know of one another."""
        return self.home / "tunings"

    @property
    def publication_dir(self) -> Path:
        return self.home / "publication"

    @property
    def secrets_dir(self) -> Path:
        return self.home / "secrets"

    @property
    def journal_dir(self) -> Path:
        return self.home / "journal"

    @property
    def airflow_home(self) -> Path:
        return self.home / "airflow"

    @property
    def database_url(self) -> str | None:
        """The PostgreSQL that holds the publication; None for DuckDB, the embedded default.

        From ``EQUIPOISE_DATABASE_URL``, or from the file that ``EQUIPOISE_DATABASE_URL_FILE``
        names: a password in a file of its owner is not in the environment of every child. Whoever
        chooses between the two stores asks here, so that none takes an empty file of a process
        without a login for what is published.

        Raises:
            DatabaseUnavailable: the file is not there or empty, or others can read it; or none is
                named where one is required.
        """
        named = self.database or os.environ.get("EQUIPOISE_DATABASE_URL")
        url = named or _written_url("EQUIPOISE_DATABASE_URL_FILE")
        if url is None and self.database_required:
            raise DatabaseUnavailable(
                "This process has no login of the predictions' database.",
                where="EQUIPOISE_DATABASE_URL_FILE",
                remedy="Call it where the login is: docker compose exec worker-cpu equipoise …",
            )
        return url

    @property
    def database_required(self) -> bool:
        """Whether predictions stand in a PostgreSQL and nowhere else: in every cluster.

        By ``EQUIPOISE_DATABASE_REQUIRED=1``; whoever has no login of it then sees no predictions,
        in place of the embedded store's none.
        """
        return os.environ.get("EQUIPOISE_DATABASE_REQUIRED", "") not in ("", "0")

    @property
    def superuser_url(self) -> str | None:
        """Of the server of the publication, from the file that ``EQUIPOISE_SUPERUSER_URL_FILE``
        names: whoever restores makes roles. It may name any database of the server.

        Raises:
            DatabaseUnavailable: the file is not there or empty, or others can read it.
        """
        return _written_url("EQUIPOISE_SUPERUSER_URL_FILE")


def settings() -> Settings:
    """Read ``EQUIPOISE_HOME`` (default ``var``), ``EQUIPOISE_STUDIES`` (default ``studies``),
    ``EQUIPOISE_DATA`` (default ``data`` in the home), ``EQUIPOISE_SHARDS`` (default 1),
    ``EQUIPOISE_ARTEFACTS`` (default ``artefacts`` in the home), ``EQUIPOISE_ARTEFACTS_URL`` (of
    the store that machines share; default none) and ``EQUIPOISE_CHECKPOINT_MINUTES`` (default 5).

    Raises:
        StudyInvalid: the number of shards, or of minutes, is none, or the URL is not of a store.
    """
    data, artefacts = os.environ.get("EQUIPOISE_DATA"), os.environ.get("EQUIPOISE_ARTEFACTS")
    return Settings(
        home=Path(os.environ.get("EQUIPOISE_HOME", "var")).resolve(),
        studies_dir=Path(os.environ.get("EQUIPOISE_STUDIES", "studies")).resolve(),
        data=Path(data).resolve() if data else None,
        shards=_shards(os.environ.get("EQUIPOISE_SHARDS", "1")),
        artefacts_url=_store_url(os.environ.get("EQUIPOISE_ARTEFACTS_URL", "")),
        artefacts=Path(artefacts).resolve() if artefacts else None,
        checkpoint_minutes=_minutes(os.environ.get("EQUIPOISE_CHECKPOINT_MINUTES", "5")),
    )


def _shards(words: str) -> int:
    if words.isdecimal() and 1 <= int(words) <= BUCKETS:
        return int(words)
    raise StudyInvalid(
        "EQUIPOISE_SHARDS is no number of shards.",
        where="the environment",
        remedy=f"Set it to a number from 1 to {BUCKETS}, or not at all: 1 is the default.",
    )


def _store_url(words: str) -> str | None:
    """The URL of a store; what is refused is not said again, since it may hold a password."""
    if not words:
        return None
    protocol, found, place = words.partition("://")
    if found and protocol.isalnum() and place and not set(place) & set("@?#"):
        return words.rstrip("/")
    raise StudyInvalid(
        "EQUIPOISE_ARTEFACTS_URL is no address of a store of artefacts.",
        where="the environment",
        remedy="Set it to s3://bucket/prefix or file:///folder, without credentials: the store's "
        "client reads them from AWS_SHARED_CREDENTIALS_FILE and the like.",
    )


def _minutes(words: str) -> float:
    try:
        minutes = float(words)
    except ValueError:
        minutes = math.nan
    if 0 < minutes <= MINUTES_OF_A_DAY:
        return minutes
    raise StudyInvalid(
        "EQUIPOISE_CHECKPOINT_MINUTES is no number of minutes.",
        where="the environment",
        remedy="Set it to more than 0 and at most a day's 1440, or not at all: 5 is the default.",
    )


def _written_url(variable: str) -> str | None:
    """What is in the file that a variable names; None where it names none."""
    if not (name := os.environ.get(variable)):
        return None
    file = Path(name)
    is_private = file.is_file() and not file.stat().st_mode & 0o077
    if is_private and (url := file.read_text(encoding="utf-8").strip()):
        return url
    raise DatabaseUnavailable(
        "The file with the database's URL is not there or empty, or others than its owner can "
        "read it.",
        where=name,
        remedy=f"Write the URL into it and run `chmod 600` on it, or unset {variable}.",
    )
