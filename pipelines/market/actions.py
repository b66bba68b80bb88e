"""Splits and dividends become source rows, one each, at the session from which they count."""

from collections import Counter

import polars as pl

from pipelines.market.bars import Place, SourceRows, one_spelling
from pipelines.market.config import CorporateActions, MarketSource
from pipelines.market.moments import known_times, read_moments, require_own_days, sessions_of
from pipelines.market.sessions import Calendar
from pipelines.market.tables import read_table, source_files
from pipelines.source_files import require_columns

# The columns that every event row has; those of a bar come on top.
ACTION = pl.Schema(
    {
        "file": pl.String(),
        "part": pl.String(),
        "source_row": pl.Int64(),
        "subject": pl.String(),
        "time_text": pl.String(),
        "session": pl.Date(),
        "time": pl.Datetime("us", "UTC"),
        "known_time": pl.Datetime("us", "UTC"),
        "naive": pl.Boolean(),
        "known_time_unreadable": pl.Boolean(),
        "code": pl.String(),
        "value_text": pl.String(),
        "unit": pl.String(),
    }
)


def action_rows(source: MarketSource, calendar: Calendar) -> SourceRows:
    """All splits and dividends.

    One that was announced earlier is known at the close of its session all the same: nothing is
    known before it happened. One that was announced later is known then.

    Raises:
        SourceMissing, SourceInvalid: see `pipelines.market.tables`.
    """
    rows, parts, empty = [], list[Place](), Counter[Place]()
    for table in source.actions:
        for shown, file in source_files(table).items():
            frame = read_table(table, shown, file)
            require_columns(shown, frame, _columns(table))
            require_own_days(shown, frame[table.effective], table.time_zone, calendar)
            rows.append(_rows(table, shown, frame, calendar))
            parts.append((shown, table.kind))
            empty[shown, table.kind] += frame[table.amount].null_count()
    return SourceRows(pl.concat(rows) if rows else pl.DataFrame(schema=ACTION), tuple(parts), empty)


def known_splits(rows: pl.DataFrame) -> pl.DataFrame:
    """The splits among action rows that can explain a jump: subject, session, ratio, known_time."""
    ratio = pl.col("value_text").cast(pl.Float64, strict=False)
    return (
        rows.filter(pl.col("code") == "split")
        .select("subject", "session", "known_time", ratio=ratio)
        .filter(pl.all_horizontal(pl.all().is_not_null()))
        .filter(pl.col("ratio").is_finite() & (pl.col("ratio") > 0))
    )


def _columns(table: CorporateActions) -> list[str]:
    named = (table.instrument, table.effective, table.amount, table.known_time)
    return [name for name in named if name is not None]


def _rows(
    table: CorporateActions, shown: str, frame: pl.DataFrame, calendar: Calendar
) -> pl.DataFrame:
    """The rows of a file that state an amount."""
    stated = frame.filter(pl.col(table.amount).is_not_null()).select(
        "source_row",
        subject=table.instrument,
        text=table.effective,
        amount=table.amount,
        known_text=pl.lit(None, pl.String) if table.known_time is None else table.known_time,
    )
    moments = sessions_of(read_moments(stated["text"], table.time_zone), calendar)
    known = known_times(stated["known_text"], table.time_zone, calendar).rename(
        {"naive": "known_naive"}
    )
    unreadable = pl.lit(table.known_time is not None) & pl.col("known").is_null()
    return (
        stated.hstack(known)
        .join(moments, on="text", how="left", maintain_order="left")
        .select(
            "source_row",
            "subject",
            "session",
            file=pl.lit(shown),
            part=pl.lit(table.kind),
            time_text=pl.coalesce(pl.col("session").dt.to_string("iso"), "text"),
            time="close",
            known_time=pl.when(~unreadable).then(pl.max_horizontal("known", "close")),
            naive=pl.col("naive") | pl.col("known_naive"),
            known_time_unreadable=unreadable,
            code=pl.lit(table.kind),
            value_text=one_spelling(pl.col("amount")),
            unit=pl.lit(None, pl.String),
        )
        .select(*ACTION)
    )
