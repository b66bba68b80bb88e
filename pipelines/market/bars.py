"""Bars become source rows, one per cell: what it says, of which session, and since when known."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pipelines.market.config import QUANTITIES, Bars, MarketSource
from pipelines.market.jumps import close_ratios
from pipelines.market.moments import known_times, read_moments, require_own_days, sessions_of
from pipelines.market.sessions import Calendar
from pipelines.market.tables import instrument_of, read_table, source_files
from pipelines.source_files import require_columns

Place = tuple[str, str]
BAR = {
    "file": pl.String,
    "source_row": pl.Int64,
    "subject": pl.String,
    "text": pl.String,
    "known_text": pl.String,
    "bar_currency": pl.String,
} | dict.fromkeys(QUANTITIES, pl.String)
# One bar as it was known at one time.
VERSION = ("subject", "session_ordinal", "known_time")
OF_A_BAR = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class SourceRows:
    """Event rows as `Records.events` wants them, with what is not a row: empty cells by place."""

    rows: pl.DataFrame
    parts: tuple[Place, ...]
    empty_cells: Counter[Place] = field(default_factory=Counter)


def bar_rows(source: MarketSource, calendar: Calendar, splits: pl.DataFrame) -> SourceRows:
    """All cells of all bars.

    Args:
        splits: subject, session, ratio and known_time, which explain a jump of raw closes.

    Returns:
        rows with the columns of `Records.events` and those of validation.market_rules.

    Raises:
        SourceMissing, SourceInvalid: see `pipelines.market.tables`.
    """
    rows, parts, empty = [], list[Place](), Counter[Place]()
    for table in source.bars:
        files = source_files(table)
        bars = pl.concat([_bars(table, shown, file, calendar) for shown, file in files.items()])
        names = _part_names(table)
        rows.append(_cells(_dated(bars, table, calendar, source.known_delay_minutes), names))
        parts += [(shown, part) for shown in files for part in names.values()]
        for nulls in bars.group_by("file").agg(pl.col(*names).null_count()).iter_rows(named=True):
            empty.update({(nulls["file"], part): nulls[name] for name, part in names.items()})
    cells = pl.concat(rows)
    judged = (
        cells.join(_contradicted(cells), on=VERSION, how="left", maintain_order="left")
        .join(
            close_ratios(cells, splits, source.closes_are_adjusted),
            on=VERSION,
            how="left",
            maintain_order="left",
        )
        .join(_acknowledged(source), on=["subject", "session"], how="left", maintain_order="left")
    )
    return SourceRows(judged.drop("session_ordinal"), tuple(dict.fromkeys(parts)), empty)


def _bars(table: Bars, shown: str, file: Path, calendar: Calendar) -> pl.DataFrame:
    """A file's bars with the columns of BAR: per row of a long table, per cell of a wide one."""
    frame = read_table(table, shown, file)
    named = _named_columns(table)
    require_columns(shown, frame, list(named.values()))
    require_own_days(shown, frame[table.columns.time], table.time_zone, calendar)
    said = {name: pl.col(column) for name, column in named.items()}
    if table.shape == "wide":
        rows = frame.unpivot(
            index=["source_row", *named.values()], variable_name="subject", value_name="cell"
        ).select("source_row", "subject", pl.col("cell").alias(table.quantity), **said)
    elif table.columns.instrument is None:
        rows = frame.select("source_row", pl.lit(instrument_of(file)).alias("subject"), **said)
    else:
        rows = frame.select("source_row", **said)
    missing = [pl.lit(None, kind).alias(name) for name, kind in BAR.items() if name not in rows]
    return rows.with_columns(missing).with_columns(file=pl.lit(shown)).select(*BAR)


def _named_columns(table: Bars) -> dict[str, str]:
    """Column of BAR -> the source's column, for those that the study names."""
    columns = table.columns
    read = {
        "text": columns.time,
        "subject": columns.instrument,
        "known_text": columns.known_time,
        "bar_currency": columns.currency,
        **columns.quantities(),
    }
    return {name: column for name, column in read.items() if column is not None}


def _part_names(table: Bars) -> dict[str, str]:
    """Quantity -> the part that its cells are accounted under."""
    return {table.quantity: table.quantity} if table.shape == "wide" else table.columns.quantities()


def _dated(bars: pl.DataFrame, table: Bars, calendar: Calendar, delay: int) -> pl.DataFrame:
    """Bars with session, session_ordinal, time (its close), known_time and what is wrong of them.

    Known time is the row's own, or the close and the stated delay.
    """
    moments = sessions_of(read_moments(bars["text"], table.time_zone), calendar).drop(
        "day", "instant"
    )
    stated = known_times(bars["known_text"], table.time_zone, calendar)
    has_own = table.columns.known_time is not None
    after_close = pl.col("close_time") + pl.duration(minutes=delay)
    known = pl.col("known") if has_own else after_close
    return (
        bars.hstack(stated.rename({"naive": "known_naive"}))
        .join(moments.rename({"close": "close_time"}), on="text", how="left", maintain_order="left")
        .select(
            *BAR,
            "session",
            "session_ordinal",
            time="close_time",
            known_time=known,
            naive=pl.col("naive") | pl.col("known_naive"),
            known_time_unreadable=pl.lit(has_own) & pl.col("known").is_null(),
            # One session has one name, however files write it.
            time_text=pl.coalesce(pl.col("session").dt.to_string("iso"), "text"),
        )
    )


def _cells(bars: pl.DataFrame, names: dict[str, str]) -> pl.DataFrame:
    """A row per cell that says something, each with the numbers of its whole bar."""
    of_the_bar = [readable_number(pl.col(name)).alias(f"bar_{name}") for name in OF_A_BAR]
    kept = [name for name in bars.columns if name not in (*QUANTITIES, "text")]
    wide = bars.select(*kept, *of_the_bar, *names)
    index = [name for name in wide.columns if name not in names]
    cells = wide.unpivot(on=list(names), index=index, variable_name="code", value_name="text")
    return cells.filter(pl.col("text").is_not_null()).select(
        *index,
        "code",
        part=pl.col("code").replace_strict(names, return_dtype=pl.String),
        value_text=one_spelling(pl.col("text")),
        unit=pl.when(pl.col("code") != "volume").then("bar_currency"),
    )


def readable_number(text: pl.Expr) -> pl.Expr:
    """The finite number that a text says, else null."""
    number = text.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def one_spelling(text: pl.Expr) -> pl.Expr:
    """A number in one spelling, so that 1.0 repeats 1.00; what is no number stays as it is."""
    return pl.coalesce(text.cast(pl.Float64, strict=False).cast(pl.String), text)


def _contradicted(cells: pl.DataFrame) -> pl.DataFrame:
    """The bars of which one cell is said twice and otherwise: VERSION and ``contradicted``.

    Only rows that are dated can contradict: all others are quarantined for that.
    """
    said = pl.col("value_text")
    return (
        cells.filter(pl.col("time").is_not_null() & pl.col("known_time").is_not_null())
        .group_by(*VERSION, "code")
        .agg(differs=said.min() != said.max())
        .filter("differs")
        .select(*VERSION)
        .unique()
        .with_columns(contradicted=pl.lit(True))
    )


def _acknowledged(source: MarketSource) -> pl.DataFrame:
    """Instrument and session of the jumps that the study declares true."""
    jumps = [(name, day) for name, days in source.acknowledged_jumps.items() for day in days]
    return (
        pl.DataFrame(jumps, schema={"subject": pl.String, "session": pl.Date}, orient="row")
        .unique()
        .with_columns(jump_acknowledged=pl.lit(True))
    )
