"""Numbers of the evidence: a value with its interval, and counts of subjects.

A number that does not exist is null with a reason; NaN and infinity are refused.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

VerdictName = Literal["pass", "fail", "cannot_tell"]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# ---- numbers ---------------------------------------------------------------------------------


class Estimate(Record):
    """A value with its 95 % interval; all null with a reason where nothing can be said.

    simultaneous_low, simultaneous_high: of a gap that a line judges, the interval that holds for
    all such gaps of the audit at once (level .95); never narrower than low to high.
    """

    value: Number | None = None
    low: Number | None = None
    high: Number | None = None
    simultaneous_low: Number | None = None
    simultaneous_high: Number | None = None
    standard_error: Number | None = None
    reason: str | None = None


class Counts(Record):
    """Subjects of a group; of patients, null = hidden to protect small cells.

    censored: followed too briefly to know the label; they weigh nothing in any metric.
    Of forecasts, whose subjects are instruments, nothing is hidden and all but `censored` is
    counted: rows (a subject at an index time) with a label, blocks of time these lie in, and
    rows whose label is unknown, which carry nothing. positives: of direction, returns above 0.
    """

    subjects: Count | None = None
    positives: Count | None = None
    censored: Count | None = None
    rows: Count | None = None
    blocks: Count | None = None
    unknown: Count | None = None

    @property
    def hidden(self) -> bool:
        return self.rows is None and None in (self.subjects, self.positives, self.censored)
