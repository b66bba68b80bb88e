"""Who read predictions, as the access log tells; the login is an auditor."""

from datetime import datetime
from typing import LiteralString

from pydantic import BaseModel, ConfigDict

from pipelines.publication.postgres.connection import connect

BY_READER: LiteralString = """
SELECT reader, count(*), min(read_at), max(read_at) FROM access_log GROUP BY reader ORDER BY reader
"""
# A number is spent when a query begins, and not given back by a rollback.
# The sequence knows it of the last ones too, behind which no later row shows a gap. Asked first: a
# read that ends between the two questions is not taken for one that was taken back.
NUMBERS_SPENT: LiteralString = """
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM access_log_read_number_seq
"""
WRITTEN_DOWN: LiteralString = "SELECT count(*) FROM access_log WHERE read_number <= %s"


class Reads(BaseModel):
    """How often one login read predictions, and when first and last (UTC)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reader: str
    reads: int
    first_at: datetime
    last_at: datetime


def list_reads(url: str) -> tuple[tuple[Reads, ...], int]:
    """Each reader, and how many reads were taken back: of those the server's log alone can tell.

    A read whose transaction is still open counts as taken back until it is committed. Up to 32
    numbers are lost as well when the server itself is killed.

    Raises:
        DatabaseUnavailable: the server cannot be used, or its login is no auditor.
    """
    with connect(url) as connection:
        ((spent,),) = connection.execute(NUMBERS_SPENT).fetchall()
        ((kept,),) = connection.execute(WRITTEN_DOWN, (spent,)).fetchall()
        rows = connection.execute(BY_READER).fetchall()
    names = tuple(Reads.model_fields)
    return tuple(Reads(**dict(zip(names, row, strict=True))) for row in rows), int(spent) - int(
        kept
    )
