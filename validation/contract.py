"""What a study declares about its tables before anyone looks at them.

Light on purpose: a DAG file or ``--help`` loads a whole study, so nothing heavy is imported here.
"""

from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CodeContract(_Declared):
    """One code of the event table: a number with a plausible range, or an event without one.

    ``low`` and ``high`` are inclusive, in the code's ``unit``.
    """

    low: float | None = Field(default=None, allow_inf_nan=False)
    high: float | None = Field(default=None, allow_inf_nan=False)
    unit: str | None = None

    @property
    def is_numeric(self) -> bool:
        return self.low is not None

    @model_validator(mode="after")
    def _range_is_whole_and_ordered(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("give both low and high, or neither (an event without a value)")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class AttributeContract(_Declared):
    """One column of the subject table beyond ``subject_id``."""

    type: Literal["text", "integer", "number", "date", "time"] = "text"
    allowed: tuple[str, ...] | None = Field(default=None, min_length=1)
    required: bool = True

    @model_validator(mode="after")
    def _only_text_has_a_list(self) -> Self:
        if self.allowed is not None and self.type != "text":
            raise ValueError("allowed values are for text attributes")
        return self


class TableContract(_Declared):
    """The declared contract of a study's event, subject and quarantine tables.

    Times are UTC days, both ends included. Shares are between 0 and 1.
    """

    codes: dict[str, CodeContract] = Field(min_length=1)
    subject_attributes: dict[str, AttributeContract] = Field(default_factory=dict)
    earliest: date
    latest: date
    minimum_events: int = Field(default=1, ge=1)
    maximum_events: int | None = None
    minimum_subjects: int = Field(default=1, ge=1)
    max_quarantined_share: float = Field(ge=0, le=1)
    acknowledged_copies: tuple[tuple[str, str], ...] = ()

    @property
    def numeric_codes(self) -> tuple[str, ...]:
        return tuple(code for code, declared in self.codes.items() if declared.is_numeric)

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.earliest >= self.latest:
            raise ValueError("earliest must be before latest")
        if self.maximum_events is not None and self.maximum_events < self.minimum_events:
            raise ValueError("maximum_events must not be below minimum_events")
        return self

    @model_validator(mode="after")
    def _copies_name_declared_codes(self) -> Self:
        unknown = sorted({c for pair in self.acknowledged_copies for c in pair} - set(self.codes))
        if unknown:
            raise ValueError(f"acknowledged_copies names undeclared codes: {', '.join(unknown)}")
        return self
