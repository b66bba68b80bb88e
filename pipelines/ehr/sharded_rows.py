"""Of a source's tables, whatever their size, the rows of some subjects, in parts that fit memory.

Tables are scanned twice: once for who is in them and how often, once for the rows of those whose
pseudonym lies in the shard. If they are too many to be held at once, these go to files first, one
per run of whole buckets. A row that names no subject is one of bucket 0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.ehr.config import EhrConfig, SourceConfig
from pipelines.ehr.source_rows import (
    Reading,
    cells_of,
    columns_of,
    records_of,
    require_tables,
)
from pipelines.event_store import bucket_of
from pipelines.events import Pseudonymise, Records
from pipelines.row_accounts import do_not_add_up
from pipelines.shards import Shard
from pipelines.source_files import readable

# So many rows of events are judged at once; a bucket that has more is judged as one.
ROWS_AT_ONCE = 1_000_000
# So many names are counted at once.
NAMES_AT_ONCE, PARTS_AT_ONCE = 8_000_000, 8
# Columns of our own beside the source's, which may be called anything but these.
NAME, GROUP = "equipoise_subject", "equipoise_group"


@dataclass(frozen=True)
class _Needed:
    """What is read of a table by the subjects that one of its columns names."""

    table: str
    subject: str
    columns: tuple[str, ...]
    cells: int

    @property
    def reading(self) -> Reading:
        return self.table, self.subject


@dataclass(frozen=True)
class _Place:
    """Where rows of a table wait, and what the table is called in messages."""

    shown: str
    folder: Path


def record_parts(
    config: EhrConfig,
    tables: Mapping[str, pl.LazyFrame],
    folder: str,
    shard: Shard,
    pseudonymise: Pseudonymise,
    work: Path,
) -> Iterator[Records]:
    """The source rows of a shard's subjects, in at least one part; each subject is in one part.

    Args:
        tables: each table that the source names, with ``source_row`` counted from 1.
        folder: what the tables' names follow in accounts and in the quarantine.
        work: a folder for rows that do not fit memory; the caller removes it.

    Raises:
        SourceInvalid: a table lacks a column that the study names, or cannot be read.
    """
    columns = {name: _columns(f"{folder}/{name}", table) for name, table in tables.items()}
    require_tables(config.source, columns, folder)
    needed = _needed(config.source, columns)
    counted = {each.reading: _rows_by_subject(tables, each, folder) for each in needed}
    source_rows = {reading: int(rows["rows"].sum()) for reading, rows in counted.items()}
    placed = _placed(needed, counted, shard, pseudonymise)
    for frames in _frames(tables, needed, placed, folder, work, source_rows):
        yield records_of(config, frames, folder, source_rows)


def _columns(shown: str, table: pl.LazyFrame) -> list[str]:
    with readable(shown):
        return [name for name in table.collect_schema().names() if name != "source_row"]


def _needed(source: SourceConfig, columns: Mapping[str, list[str]]) -> list[_Needed]:
    """Per table and column of subjects the columns that any part looks at."""
    people, told = source.subjects, source.subjects.described_by
    named: dict[Reading, set[str]] = {(people.table, people.subject): set(columns_of(people))}
    cells: dict[Reading, int] = {(people.table, people.subject): 1}
    if told is not None:
        named.setdefault((told.table, told.subject), set()).update(
            (told.subject, told.code, told.value)
        )
    for part in source.events:
        reading = part.table, part.subject
        named.setdefault(reading, set()).update(columns_of(part))
        cells[reading] = cells.get(reading, 0) + cells_of(part)
    return [
        _Needed(*reading, tuple(sorted(names & set(columns[reading[0]]))), cells.get(reading, 1))
        for reading, names in named.items()
    ]


def _named(column: str) -> pl.Expr:
    """How a source calls the subject; nothing where it names none."""
    return pl.col(column).cast(pl.String).fill_null("").alias("subject")


def _rows_by_subject(
    tables: Mapping[str, pl.LazyFrame], needed: _Needed, folder: str
) -> pl.DataFrame:
    """``subject`` and ``rows``: how many rows of a table name each."""
    table = tables[needed.table].select(_named(needed.subject))
    with readable(f"{folder}/{needed.table}"):
        length = table.select(pl.len()).collect().item()
        parts: list[pl.DataFrame] = []
        for rows in _slices(table, length, NAMES_AT_ONCE):
            # Of every slice only its names stay, and of many slices their sum.
            parts.append(rows.collect().group_by("subject").agg(rows=pl.len()))
            if len(parts) == PARTS_AT_ONCE:
                parts = [_summed(parts)]
    return _summed(parts)


def _summed(parts: list[pl.DataFrame]) -> pl.DataFrame:
    schema = {"subject": pl.String, "rows": pl.UInt32}
    return (
        pl.concat([pl.DataFrame(schema=schema), *parts])
        .group_by("subject")
        .agg(pl.col("rows").sum())
    )


def _slices(table: pl.LazyFrame, length: int, rows: int) -> Iterator[pl.LazyFrame]:
    """A table in pieces: a scan of all of it would read ahead, and memory would grow with it."""
    for start in range(0, length, rows):
        yield table.slice(start, rows)


def _placed(
    needed: list[_Needed],
    counted: Mapping[Reading, pl.DataFrame],
    shard: Shard,
    pseudonymise: Pseudonymise,
) -> pl.DataFrame:
    """A row per subject of the shard: ``group``, and how many rows each reading must find."""
    names = pl.concat([rows["subject"] for rows in counted.values()]).unique().sort()
    blank = names.str.strip_chars() == ""
    known = names.filter(~blank)
    buckets = pl.concat(
        [
            pl.DataFrame({"subject": known, "subject_id": pseudonymise(known)}).select(
                "subject", bucket=bucket_of()
            ),
            pl.DataFrame({"subject": names.filter(blank)}).with_columns(bucket=pl.lit(0, pl.UInt8)),
        ]
    ).filter(pl.col("bucket").is_between(shard.buckets.start, shard.buckets.stop - 1))
    weighted = pl.lit(0)
    for number, each in enumerate(needed):
        rows = counted[each.reading].select("subject", pl.col("rows").alias(f"rows_{number}"))
        buckets = buckets.join(rows, on="subject", how="left")
        weighted += pl.col(f"rows_{number}").fill_null(0) * each.cells
    sizes = buckets.group_by("bucket").agg(rows=weighted.sum()).sort("bucket")
    groups = pl.DataFrame(
        {"bucket": sizes["bucket"], "group": _groups(sizes["rows"].to_list())},
        schema={"bucket": pl.UInt8, "group": pl.UInt8},
    )
    return buckets.join(groups, on="bucket")


def _groups(sizes: list[int]) -> list[int]:
    """Runs of buckets, by number, of at most ``ROWS_AT_ONCE`` rows where one has not more."""
    groups, group, rows = [], 0, 0
    for size in sizes:
        if rows and rows + size > ROWS_AT_ONCE:
            group, rows = group + 1, 0
        groups.append(group)
        rows += size
    return groups


def _frames(
    tables: Mapping[str, pl.LazyFrame],
    needed: list[_Needed],
    placed: pl.DataFrame,
    folder: str,
    work: Path,
    source_rows: Mapping[Reading, int],
) -> Iterator[dict[Reading, pl.DataFrame]]:
    """Per group of buckets the rows of each reading, in the source's order."""
    chosen = [_chosen(tables[each.table], each, placed) for each in needed]
    groups = placed["group"].n_unique()
    if groups > 1:
        for number, each in enumerate(needed):
            place = _Place(f"{folder}/{each.table}", work / str(number))
            _spill(tables[each.table], source_rows[each.reading], each, placed, place)
    for group in range(max(groups, 1)):
        here = placed.filter(pl.col("group") == group)
        frames = {}
        for number, (each, rows) in enumerate(zip(needed, chosen, strict=True)):
            if groups > 1:
                rows = _spilled(rows, work / str(number), group)
            with readable(f"{folder}/{each.table}"):
                frame = rows.drop(GROUP).collect(engine="streaming").sort("source_row")
            expected = int(here[f"rows_{number}"].sum())
            if frame.height != expected:
                raise do_not_add_up(expected, frame.height, (f"{folder}/{each.table}", "rows"))
            frames[each.reading] = frame
        yield frames


def _chosen(table: pl.LazyFrame, needed: _Needed, placed: pl.DataFrame) -> pl.LazyFrame:
    """The rows of those who are placed, each with its group, in any order."""
    own = placed.lazy().select(pl.col("subject").alias(NAME), pl.col("group").alias(GROUP))
    return (
        table.select("source_row", *needed.columns, _named(needed.subject).alias(NAME))
        .join(own, on=NAME, how="inner")
        .drop(NAME)
    )


def _spill(
    table: pl.LazyFrame, length: int, needed: _Needed, placed: pl.DataFrame, place: _Place
) -> None:
    """Write the rows of those who are placed to a folder per group, slice by slice."""
    place.folder.mkdir(parents=True)
    for number, piece in enumerate(_slices(table, length, ROWS_AT_ONCE)):
        with readable(place.shown):
            rows = _chosen(piece, needed, placed).collect()
        for (group,), part in rows.group_by(GROUP):
            folder = place.folder / f"{GROUP}={group}"
            folder.mkdir(exist_ok=True)
            part.write_parquet(folder / f"{number:06d}.parquet", compression="lz4")


def _spilled(rows: pl.LazyFrame, folder: Path, group: int) -> pl.LazyFrame:
    """What ``_spill`` wrote of a group; it may have nothing."""
    files = sorted((folder / f"{GROUP}={group}").glob("*.parquet"))
    return pl.scan_parquet(files, hive_partitioning=False) if files else rows.limit(0)
