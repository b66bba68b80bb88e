"""The store of an installation's publications: DuckDB by default, PostgreSQL where a URL names one.

Both keep one contract (``schema``) and pass the same tests.
"""

from datetime import date, datetime
from typing import Protocol

import polars as pl

from pipelines.approvals.record import ApprovalRecord
from pipelines.publication.contract import GenerationReceipt, ListedGeneration, Publication
from pipelines.restoring import require_restored
from pipelines.settings import Settings


class PublicationStore(Protocol):
    """What a store of publications does; each function's errors are told where it is made."""

    def publish(self, publication: Publication, predictions: pl.DataFrame) -> GenerationReceipt:
        """Publish one generation: readers see the last one or all of this one."""
        ...

    def record_approval(self, approval: ApprovalRecord) -> bool:
        """Add what was decided, approved or rejected, at once; False if it was there already."""
        ...

    def withdraw(
        self, study: str, reason: str, by: str, *, generation_id: str | None = None
    ) -> tuple[str, ...]:
        """Take what stands, or one generation, out of the readers' sight; returns which.

        The rows stay and are read as withdrawn; none is withdrawn twice.

        Raises:
            GateClosed: the reason or the name is empty.
            NoRelease: the study published nothing, or no generation of that name.
            StoreLocked: another process publishes.
        """
        ...

    def reinstate(self, study: str, generation_id: str, reason: str, by: str) -> tuple[str, ...]:
        """Bring a withdrawn generation back."""
        ...

    def erase_subject(self, study: str, subject_id: int, ground: str, by: str) -> int:
        """Erase a subject's rows, leave a tombstone; returns the rows erased."""
        ...

    def finish_changes(self) -> None:
        """Show readers what a killed process had committed: a withdrawal counts from its commit.

        For callers who may refuse before they publish; publishing and withdrawing do it too.
        """
        ...

    def read_current(self, study: str) -> pl.DataFrame:
        """The current predictions of a study, one row per subject; times in UTC.

        Raises:
            SourceMissing: nothing was published yet.
        """
        ...

    def read_as_of(self, study: str, day: date) -> pl.DataFrame:
        """The predictions that stand for ``day`` (UTC)."""
        ...

    def read_seen_at(self, study: str, moment: datetime) -> pl.DataFrame:
        """What ``read_current`` gave at that moment; erased persons are gone from it too."""
        ...

    def read_withdrawn(self, study: str) -> pl.DataFrame:
        """Every prediction that was withdrawn, with the reason, the person and the time."""
        ...

    def list_generations(self, study: str) -> tuple[ListedGeneration, ...]:
        """Every generation of a study, oldest first."""
        ...

    def erasures_by_login(self) -> dict[str, int]:
        """How many persons each login erased: for an auditor to look at."""
        ...

    def verify(self) -> tuple[str, ...]:
        """What was changed past the store, in words; empty where nothing was."""
        ...


def open_store(settings: Settings) -> PublicationStore:
    """The store that the installation names; nothing is connected to before it is used.

    Raises:
        DatabaseUnavailable: a PostgreSQL is required, and this process has no login of it.
        BackupInvalid: a restore into the home was begun and did not end.
    """
    require_restored(settings.home)
    # Imported when asked for: who publishes into a file needs no driver of a server.
    if url := settings.database_url:
        from pipelines.publication.postgres.store import PostgresStore

        return PostgresStore(url, settings)
    from pipelines.publication.duckdb_store import DuckDBStore

    return DuckDBStore(settings)


def record_approval(approval: ApprovalRecord, settings: Settings) -> bool:
    """Add what was decided, approved or rejected, at once; False if it was there already.

    Raises:
        PublicationGateClosed: the store knows the audit with another verdict.
        StoreLocked: another process keeps the store.
        DatabaseUnavailable: the PostgreSQL that the installation names cannot be reached.
    """
    return open_store(settings).record_approval(approval)
