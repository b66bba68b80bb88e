"""What a study says of its market data: bars, universe, calendar, label, groups."""

from datetime import date
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

LabelKind = Literal["realised_volatility", "return_quantiles", "direction"]
TASKS = {
    "realised_volatility": "volatility",
    "return_quantiles": "quantiles",
    "direction": "direction",
}
PRICES = ("open", "high", "low", "close", "adjusted_close")
QUANTITIES = (*PRICES, "volume")


class Section(BaseModel):
    """A frozen section in which an unknown word is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TableFile(Section):
    """A table: a CSV (also .gz) or Parquet file, a folder of them, or a file a package ships.

    A relative ``path`` is taken from the folder of the study, with ``package`` from the package's;
    its last part may be a pattern, as ``bars/*.csv``.
    """

    path: Path
    package: str | None = Field(
        None, pattern=r"^\w+$", description="an installed package that ships the file"
    )
    format: Literal["csv", "tsv", "parquet"]
    time_zone: str | None = Field(
        None,
        description="zone of clock times without one; a date alone names a session and needs none",
    )

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, zone: str | None) -> str | None:
        if zone is not None:
            try:
                ZoneInfo(zone)
            except (KeyError, ValueError, OSError):
                raise ValueError("expected a zone of the IANA list, as America/New_York") from None
        return zone


class BarColumns(Section):
    """Which column of a long table says what; of a wide one, which quantity its cells are."""

    time: str
    instrument: str | None = Field(None, description="long tables; None: the name of the file")
    open: str | None = None
    high: str | None = None
    low: str | None = None
    close: str | None = None
    adjusted_close: str | None = None
    volume: str | None = None
    currency: str | None = None
    known_time: str | None = Field(None, description="when the row could be known, with its zone")

    def quantities(self) -> dict[str, str]:
        """Quantity -> the column that holds it, for those the study names."""
        named = {name: getattr(self, name) for name in QUANTITIES}
        return {name: column for name, column in named.items() if column is not None}


class Bars(TableFile):
    """Bars, a row per instrument and session (long) or per session (wide: a column each)."""

    shape: Literal["long", "wide"]
    columns: BarColumns
    quantity: Literal["close", "adjusted_close"] = Field(
        "close", description="what the cells of a wide table are"
    )

    @model_validator(mode="after")
    def _says_its_quantities(self) -> Self:
        named = self.columns.quantities()
        if self.shape == "long" and not named:
            raise ValueError("columns: name at least one of close, adjusted_close, open, ...")
        if len(set(named.values())) < len(named):
            raise ValueError("columns: one column cannot hold two quantities")
        if self.shape == "wide" and (named or self.columns.instrument or self.columns.currency):
            raise ValueError("columns: a wide table's columns are instruments; say `quantity`")
        return self


class CorporateActions(TableFile):
    """Splits (new shares per old share) or dividends (cash per share), each effective at a date."""

    kind: Literal["split", "dividend"]
    instrument: str
    effective: str
    amount: str
    known_time: str | None = Field(None, description="column; None: known at its effective date")


class Instrument(Section):
    """What the study itself says of an instrument; a date that is not given is not known."""

    sector: str | None = None
    listed: date | None = None
    delisted: date | None = None
    known_from: date | None = Field(None, description="since when this could be known")


class UniverseTable(TableFile):
    """A table of instruments: attributes, listing, and dated membership (a row per spell)."""

    instrument: str
    sector: str | None = None
    listed: str | None = None
    delisted: str | None = None
    member_from: str | None = Field(
        None, description="column; who has no date in it never belongs to the universe"
    )
    member_until: str | None = Field(None, description="column; empty: to this day")
    known_time: str | None = None
    strip_prefix: str = Field("", description="what the table writes before an instrument's name")


class Universe(Section):
    """Which instruments there are. Either a table or names in the study; None of both: all bars'.

    ``is_point_in_time``: the universe holds those that were there at the time, delisted ones too.
    """

    is_point_in_time: bool
    table: UniverseTable | None = None
    instruments: dict[str, Instrument] = {}

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.table is not None and self.instruments:
            raise ValueError("give `table` or `instruments`, not both")
        return self


class MarketSource(Section):
    """Where the bars are, and when they could be known."""

    bars: list[Bars] = Field(min_length=1)
    actions: list[CorporateActions] = []
    universe: Universe
    exchange: str = Field(description="a calendar of exchange_calendars, as XNYS")
    currency: str
    known_delay_minutes: int = Field(0, ge=0, description="from a session's close until known")
    closes_are_adjusted: bool = Field(
        description="closes already carry splits and dividends (then no jump is expected)"
    )
    acknowledged_jumps: dict[str, list[date]] = Field(
        {}, description="by instrument, sessions whose jump in price is true though a split's size"
    )
    records_are_public: bool = False


class Plausible(Section):
    """Physically possible values, both ends included."""

    price: tuple[float, float] = (1e-6, 1e7)
    volume: tuple[float, float] = (0, 1e13)
    stale_sessions: int = Field(10, ge=2, description="equal closes in a row that count as stale")
    missing_sessions: int = Field(
        20, ge=1, description="sessions without a bar at the end that count as a delisting"
    )


class Index(Section):
    """At which sessions a study predicts, and how far back an example looks."""

    every_sessions: int = Field(1, ge=1)
    minimum_history_sessions: int = Field(66, ge=2)
    maximum_age_sessions: int | None = Field(
        0,
        ge=0,
        description="sessions by which a last bar may be older than the last session that was over "
        "when scores are asked for; null: a history that has ended, whose newest bar counts",
    )
    lookback_days: int = Field(32, gt=0)


class Label(Section):
    """What is predicted of the sessions after the index time."""

    kind: LabelKind
    horizon_sessions: int = Field(gt=0)


class Groups(Section):
    """How the audit's groups are cut; terciles are by what was known at the index time."""

    era_years: int = Field(4, ge=1)
    listing_age_years: list[float] = Field([2.0, 10.0], min_length=1)


class MarketConfig(Section):
    """The ``market`` section of a study."""

    source: MarketSource
    plausible: Plausible = Plausible()
    index: Index = Index()
    label: Label
    groups: Groups = Groups()
    block_sessions: int = Field(22, ge=1, description="length of a bootstrap block in time")
    conformal_days: int = Field(365, gt=0, description="calendar days the interval correction sees")

    @property
    def task(self) -> str:
        """What is predicted, in the words of models and audits."""
        return TASKS[self.label.kind]

    @property
    def learned_beside(self) -> list[str]:
        """None: a market study has one label."""
        return []
