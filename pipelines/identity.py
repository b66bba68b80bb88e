"""Names, hashes and moments as records carry them."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints


def _in_utc(moment: datetime) -> datetime:
    """A moment without a zone is read as UTC: a date in a DAG's parameters carries none."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


STUDY_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
StudyName = Annotated[str, StringConstraints(pattern=STUDY_NAME)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Key = Annotated[str, StringConstraints(min_length=1)]
UtcMoment = Annotated[datetime, AfterValidator(_in_utc)]

Verdict = Literal["pass", "fail", "cannot_tell"]
