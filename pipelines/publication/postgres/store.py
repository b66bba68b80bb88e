"""The served store: ``PublicationStore`` over PostgreSQL."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

import polars as pl
import psycopg

from pipelines.approvals.record import ApprovalRecord
from pipelines.errors import NoRelease
from pipelines.publication.anchor import write_anchor
from pipelines.publication.contract import (
    GenerationReceipt,
    ListedGeneration,
    Publication,
    published_rows,
)
from pipelines.publication.gate import gate_closed, require_open_gate
from pipelines.publication.postgres import erasing, publishing, reading, verification
from pipelines.publication.postgres.connection import connect, where
from pipelines.publication.rows import Row
from pipelines.publication.tombstones import leave_out
from pipelines.releases import require_words
from pipelines.settings import Settings

STATES = """
SELECT generation_id, stands FROM publication_states WHERE study = %s ORDER BY generation_number
"""


@dataclass(frozen=True)
class PostgresStore:
    """Its login is a writer to change, an analyst to read, an auditor to verify.

    Every function raises DatabaseUnavailable where the server or a right is missing.
    """

    url: str
    settings: Settings

    def publish(self, publication: Publication, predictions: pl.DataFrame) -> GenerationReceipt:
        """Publish one generation: readers see the last one or all of this one.

        Raises:
            PublicationGateClosed: as the embedded store does.
        """
        # The audits stay, whatever becomes of the rest.
        with connect(self.url) as connection:
            publishing.record_audits(connection, publication)
        with connect(self.url) as connection:
            publishing.take_turn(connection, publication)
            # Asked now: no withdrawal comes between the answer and the commit.
            require_open_gate(publication, self.settings)
            erased = erasing.erased_hashes(connection, publication.study)
            given = leave_out(predictions, publication.study, erased)
            rows = published_rows(publication, given)
            known = publishing.find_generation(connection, publication)
            if known is not None and not known.stands:
                raise gate_closed(publication, "this very generation was withdrawn")
            found = known or publishing.add_generation(connection, publication, rows)
        self._write_anchor()
        return GenerationReceipt(
            study=publication.study,
            generation_id=publication.generation_id,
            release_id=publication.release.release_id,
            row_count=found.row_count,
            made=known is None,
            left_out=predictions.height - given.height,
            published_at=found.published_at,
        )

    def record_approval(self, approval: ApprovalRecord) -> bool:
        """Add what was decided at once; False if it was there already.

        Raises:
            PublicationGateClosed: the store knows the audit with another verdict.
        """
        with connect(self.url) as connection:
            is_new = publishing.add_approval(connection, approval)
        self._write_anchor()
        return is_new

    def withdraw(
        self, study: str, reason: str, by: str, *, generation_id: str | None = None
    ) -> tuple[str, ...]:
        """Take what stands, or one generation, out of the readers' sight; returns which.

        Raises:
            GateClosed: the reason or the name is empty.
            NoRelease: the study published nothing, or no generation of that name.
        """
        return self._change("withdrawn", study, reason, by, generation_id)

    def reinstate(self, study: str, generation_id: str, reason: str, by: str) -> tuple[str, ...]:
        """Bring a withdrawn generation back; raises as ``withdraw`` does."""
        return self._change("reinstated", study, reason, by, generation_id)

    def erase_subject(self, study: str, subject_id: int, ground: str, by: str) -> int:
        """Erase the subject's rows, leave a tombstone; the login is an eraser."""
        with connect(self.url) as connection:
            found = erasing.erase_subject(connection, study, subject_id, ground, by)
        self._write_anchor()
        return found

    def finish_changes(self) -> None:
        """Nothing is left to finish: readers see what is committed."""

    def read_current(self, study: str) -> pl.DataFrame:
        return reading.read(self.url, reading.CURRENT, {"study": study})

    def read_as_of(self, study: str, day: date) -> pl.DataFrame:
        return reading.read(self.url, reading.AS_OF, {"study": study, "day": day})

    def read_seen_at(self, study: str, moment: datetime) -> pl.DataFrame:
        return reading.read(self.url, reading.SEEN_AT, {"study": study, "moment": moment})

    def read_withdrawn(self, study: str) -> pl.DataFrame:
        return reading.read(self.url, reading.WITHDRAWN, {"study": study})

    def list_generations(self, study: str) -> tuple[ListedGeneration, ...]:
        return reading.list_generations(self.url, study)

    def erasures_by_login(self) -> dict[str, int]:
        return verification.erasures_by_login(self.url)

    def verify(self) -> tuple[str, ...]:
        return verification.verify(self.url, self.settings)

    def _change(
        self,
        state: Literal["withdrawn", "reinstated"],
        study: str,
        reason: str,
        by: str,
        generation_id: str | None,
    ) -> tuple[str, ...]:
        require_words(reason, by)
        with connect(self.url) as connection:
            publishing.hold_publications(connection, study)
            asked = self._asked(connection, study, generation_id)
            changed = tuple(
                name for name, stands in asked.items() if stands == (state == "withdrawn")
            )
            for name in changed:
                row: Row = {"generation_id": name, "study": study, "state": state}
                row |= {"reason": reason, "changed_by": by, "changed_at": datetime.now(UTC)}
                publishing.add_row(connection, "withdrawals", row)
        self._write_anchor()
        return changed

    def _asked(
        self, connection: psycopg.Connection, study: str, generation_id: str | None
    ) -> dict[str, bool]:
        """Generation -> whether it stands, for those that the request names."""
        known: dict[str, bool] = dict(connection.execute(STATES, (study,)).fetchall())
        if not known or generation_id not in (None, *known):
            raise NoRelease(
                f"{study} published nothing{f' named {generation_id}' if generation_id else ''}.",
                where=where(self.url),
                remedy=f"See what was published: equipoise show {study}",
            )
        return known if generation_id is None else {generation_id: known[generation_id]}

    def _write_anchor(self) -> None:
        """Asked after the commit: an event that was rolled back is no head."""
        with connect(self.url) as connection:
            write_anchor(publishing.head_of(connection), self.settings)
