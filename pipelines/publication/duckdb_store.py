"""The embedded store: ``PublicationStore`` over the DuckDB files of an installation."""

from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from pipelines.approvals.record import ApprovalRecord
from pipelines.publication import (
    duckdb,
    duckdb_erasure,
    duckdb_reading,
    duckdb_verification,
    duckdb_withdrawal,
)
from pipelines.publication.contract import GenerationReceipt, ListedGeneration, Publication
from pipelines.settings import Settings


@dataclass(frozen=True)
class DuckDBStore:
    """Each function is told where it is made; the files are named by ``folders``."""

    settings: Settings

    def publish(self, publication: Publication, predictions: pl.DataFrame) -> GenerationReceipt:
        return duckdb.publish(publication, predictions, self.settings)

    def record_approval(self, approval: ApprovalRecord) -> bool:
        return duckdb.record_approval(approval, self.settings)

    def withdraw(
        self, study: str, reason: str, by: str, *, generation_id: str | None = None
    ) -> tuple[str, ...]:
        return duckdb_withdrawal.withdraw(
            study, reason, by, self.settings, generation_id=generation_id
        )

    def reinstate(self, study: str, generation_id: str, reason: str, by: str) -> tuple[str, ...]:
        return duckdb_withdrawal.reinstate(study, generation_id, reason, by, self.settings)

    def erase_subject(self, study: str, subject_id: int, ground: str, by: str) -> int:
        return duckdb_erasure.erase_subject(study, subject_id, ground, by, self.settings)

    def finish_changes(self) -> None:
        duckdb_withdrawal.finish_changes(self.settings)

    def read_current(self, study: str) -> pl.DataFrame:
        return duckdb_reading.read_current(study, self.settings)

    def read_as_of(self, study: str, day: date) -> pl.DataFrame:
        return duckdb_reading.read_as_of(study, day, self.settings)

    def read_seen_at(self, study: str, moment: datetime) -> pl.DataFrame:
        return duckdb_reading.read_seen_at(study, moment, self.settings)

    def read_withdrawn(self, study: str) -> pl.DataFrame:
        return duckdb_reading.read_withdrawn(study, self.settings)

    def list_generations(self, study: str) -> tuple[ListedGeneration, ...]:
        return duckdb_reading.list_generations(study, self.settings)

    def erasures_by_login(self) -> dict[str, int]:
        return duckdb_verification.erasures_by_login(self.settings)

    def verify(self) -> tuple[str, ...]:
        return duckdb_verification.verify(self.settings)
