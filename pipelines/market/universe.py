"""Which instruments there are: the subject table, and the dates of their lives as events."""

from collections import Counter

import polars as pl

from pipelines.market.actions import ACTION
from pipelines.market.bars import Place, SourceRows
from pipelines.market.config import MarketSource, UniverseTable
from pipelines.market.moments import close_of, known_times, read_moments
from pipelines.market.sessions import Calendar
from pipelines.market.tables import read_table, source_files
from pipelines.source_files import require_columns

STUDY = "the study"
PART = "instruments"
UNKNOWN_SECTOR = "unknown"
# Which dates make which event, and whether it stands at the first session since or the last until.
DATES = {
    "listed": ("listed", "since"),
    "delisted": ("delisted", "until"),
    "member_from": ("joined_universe", "since"),
    "member_until": ("left_universe", "until"),
}
STATED = {
    "file": pl.String,
    "source_row": pl.Int64,
    "subject": pl.String,
    "sector": pl.String,
    "known_text": pl.String,
} | dict.fromkeys(DATES, pl.String)


def stated_instruments(source: MarketSource, traded: pl.Series) -> pl.DataFrame:
    """What the source says of its instruments, as text with the columns of STATED.

    Args:
        traded: names of the bars; they are the universe where the study declares none.

    Raises:
        SourceMissing, SourceInvalid: see `pipelines.market.tables`.
    """
    universe = source.universe
    if universe.table is not None:
        return _of_table(universe.table)
    if universe.instruments:
        said = [
            {
                "subject": name,
                "sector": one.sector,
                "known_text": None if one.known_from is None else one.known_from.isoformat(),
                "listed": None if one.listed is None else one.listed.isoformat(),
                "delisted": None if one.delisted is None else one.delisted.isoformat(),
            }
            for name, one in universe.instruments.items()
        ]
        frame = pl.DataFrame(said, schema_overrides=STATED)
    else:
        frame = traded.drop_nulls().unique().sort().alias("subject").to_frame()
    numbered = frame.with_columns(source_row=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
    return _complete(numbered, STUDY)


def subject_rows(stated: pl.DataFrame, source: MarketSource, calendar: Calendar) -> pl.DataFrame:
    """A row per row of the universe: sector, listed, delisted, currency, known_time.

    Known time is the earliest of the rows that say the same; where the source says none, the
    calendar's first close (known as long as we look back). It is null where a date of the row
    cannot be read, which is a rule. A delisting that is to be used as a feature must be taken
    from the events, which are dated.
    """
    known = known_times(stated["known_text"], _zone(source), calendar)["known"].alias("known")
    dated = stated.with_columns(known, *[_day(stated[name]) for name in DATES])
    unreadable = pl.any_horizontal(
        stated[name].is_not_null() & dated[name].is_null() for name in DATES
    ) | (pl.col("known_text").is_not_null() & pl.col("known").is_null())
    start = pl.lit(calendar.sessions["close"][0])
    first_known = pl.col("known").min().over("subject", "sector", "listed", "delisted")
    return dated.select(
        "file",
        pl.lit(PART).alias("part"),
        "source_row",
        "subject",
        pl.lit(None, pl.String).alias("cluster"),
        pl.col("sector").fill_null(UNKNOWN_SECTOR),
        "listed",
        "delisted",
        pl.lit(source.currency).alias("currency"),
        pl.when(~unreadable).then(pl.coalesce(first_known, start)).alias("known_time"),
    )


def date_rows(stated: pl.DataFrame, source: MarketSource, calendar: Calendar) -> SourceRows:
    """Event rows of listings, delistings and memberships; one is known at its close or later."""
    table = source.universe.table
    names = {"listed": "listed", "delisted": "delisted"} if source.universe.instruments else {}
    if table is not None:
        said = {name: getattr(table, name) for name in DATES}
        names = {name: column for name, column in said.items() if column is not None}
    rows, parts, empty = [], list[Place](), Counter[Place]()
    for shown in stated["file"].unique(maintain_order=True):
        here = stated.filter(pl.col("file") == shown)
        for name, column in names.items():
            rows.append(_rows(here, name, column, calendar, _zone(source)))
            parts.append((shown, column))
            empty[shown, column] += here[name].null_count()
    return SourceRows(pl.concat(rows) if rows else pl.DataFrame(schema=ACTION), tuple(parts), empty)


def _of_table(table: UniverseTable) -> pl.DataFrame:
    read = {
        "subject": table.instrument,
        "sector": table.sector,
        "known_text": table.known_time,
        **{name: getattr(table, name) for name in DATES},
    }
    named = {name: column for name, column in read.items() if column is not None}
    frames = []
    for shown, file in source_files(table).items():
        frame = read_table(table, shown, file)
        require_columns(shown, frame, list(named.values()))
        chosen = frame.select("source_row", **{name: pl.col(col) for name, col in named.items()})
        frames.append(_complete(chosen, shown))
    return pl.concat(frames).with_columns(pl.col("subject").str.strip_prefix(table.strip_prefix))


def _complete(frame: pl.DataFrame, shown: str) -> pl.DataFrame:
    missing = [pl.lit(None, kind).alias(name) for name, kind in STATED.items() if name not in frame]
    return frame.with_columns(missing).with_columns(file=pl.lit(shown)).select(*STATED)


def _day(texts: pl.Series) -> pl.Series:
    """The date that each text holds: a life is counted in days, whatever the clock says."""
    day = read_moments(texts, None).select("text", day="written")
    return (
        texts.to_frame("text")
        .join(day, on="text", how="left", maintain_order="left")["day"]
        .alias(texts.name)
    )


def _zone(source: MarketSource) -> str | None:
    return None if source.universe.table is None else source.universe.table.time_zone


def _rows(
    stated: pl.DataFrame, name: str, column: str, calendar: Calendar, time_zone: str | None
) -> pl.DataFrame:
    code, side = DATES[name]
    here = stated.filter(pl.col(name).is_not_null())
    day = _day(here[name])
    close = close_of(day, calendar, "since" if side == "since" else "until")
    known = known_times(here["known_text"], time_zone, calendar)
    unreadable = pl.col("known_text").is_not_null() & pl.col("known").is_null()
    return (
        here.with_columns(day.alias("day"), close.alias("close"), *known)
        .select(
            "file",
            "source_row",
            "subject",
            "naive",
            part=pl.lit(column),
            time_text=pl.coalesce(pl.col("day").dt.to_string("iso"), name),
            session="day",
            time="close",
            known_time=pl.when(~unreadable).then(pl.max_horizontal("known", "close")),
            known_time_unreadable=unreadable,
            code=pl.lit(code),
            value_text=pl.lit(None, pl.String),
            unit=pl.lit(None, pl.String),
        )
        .select(*ACTION)
    )
