"""The event table on disk: a file per bucket of subjects, so that a shard reads its own alone.

A bucket's bytes depend on its rows and on nothing else: neither on how many shards the source was
cut into, nor on the task or the day that wrote them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from pipelines.shards import BUCKET_BITS, WHOLE, Shard

FOLDER = "events"
SUBJECTS = "subjects.parquet"
SCHEMA = pl.Schema(
    {
        "subject_id": pl.Int64(),
        "time": pl.Datetime("us", "UTC"),
        "known_time": pl.Datetime("us", "UTC"),
        "code": pl.Categorical(),
        "numeric_value": pl.Float32(),
        "text_value": pl.String(),
        "unit": pl.String(),
        "source_file": pl.String(),
        "source_row": pl.Int64(),
    }
)


def bucket_of(subject_id: str | pl.Expr = "subject_id") -> pl.Expr:
    """The bucket of a pseudonym, u8: its first six bits."""
    column = pl.col(subject_id) if isinstance(subject_id, str) else subject_id
    return column.floordiv(2**BUCKET_BITS).cast(pl.UInt8)


def bucket_file(folder: Path, bucket: int) -> Path:
    """Where a bucket's events are; there is no file of a bucket without events."""
    return folder / FOLDER / f"{bucket:02d}.parquet"


def write_events(folder: Path, events: pl.DataFrame, shard: Shard = WHOLE) -> None:
    """Write events of a shard into a folder with none of their buckets yet, in their order."""
    (folder / FOLDER).mkdir(exist_ok=True)
    parts = events.with_columns(bucket=bucket_of()).partition_by(
        "bucket", include_key=False, as_dict=True, maintain_order=True
    )
    for (bucket,), rows in parts.items():
        file = bucket_file(folder, bucket)
        if bucket not in shard.buckets or file.exists():
            raise RuntimeError(f"bucket {bucket} is not shard {shard}'s, or was written before")
        rows.rechunk().write_parquet(file)


def event_files(folder: Path, shard: Shard = WHOLE) -> dict[int, Path]:
    """Bucket -> its file, for the buckets of a shard that have events, in their order."""
    files = {bucket: bucket_file(folder, bucket) for bucket in shard.buckets}
    return {bucket: file for bucket, file in files.items() if file.exists()}


def scan_events(folder: Path, shard: Shard = WHOLE) -> pl.LazyFrame:
    """The events of a shard, unread: bucket after bucket, each in its source's order."""
    files = list(event_files(folder, shard).values())
    return pl.scan_parquet(files) if files else pl.LazyFrame(schema=SCHEMA)


def read_events(
    folder: Path, shard: Shard = WHOLE, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """The events of a shard.

    Args:
        folder: an artefact of ``ingest_events`` or ``merge_events``.
        shard: whose buckets are read; all of them by default.
        columns: the columns that are wanted; all of them by default.
    """
    events = scan_events(folder, shard)
    return (events if columns is None else events.select(columns)).collect()


def event_parts(folder: Path, most_events: int) -> Iterator[pl.DataFrame]:
    """All events, in at least one part of whole buckets, of at most ``most_events`` if it can be.

    A subject's events are in one part.
    """
    waiting: list[Path] = []
    rows = 0
    for file in event_files(folder).values():
        here = int(pl.scan_parquet(file).select(pl.len()).collect().item())
        if waiting and rows + here > most_events:
            yield pl.read_parquet(waiting)
            waiting, rows = [], 0
        waiting.append(file)
        rows += here
    yield pl.read_parquet(waiting) if waiting else SCHEMA.to_frame()


def read_subjects(folder: Path, shard: Shard = WHOLE) -> pl.DataFrame:
    """The subjects of a shard, by pseudonym."""
    first, last = shard.subject_ids
    subjects = pl.scan_parquet(folder / SUBJECTS)
    return subjects.filter(pl.col("subject_id").is_between(first, last)).collect()


def count_events(folder: Path) -> int:
    """How many events there are; read from the files' ends alone."""
    return int(scan_events(folder).select(pl.len()).collect().item())
