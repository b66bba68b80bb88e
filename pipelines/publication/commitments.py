"""Each published row is committed to by a key of its own: erase the key, and nobody can tell of it.

commitment = HMAC-SHA256(row_key, row), RFC 2104, with 32 random bytes as the key. A publication's
digest is one sha256 over its commitments in ascending order, and stands in the chain of events.
Who erases a person destroys row and key and leaves the commitment: the digest, and with it the
chain, still verifies, and the commitment can be tested against no guess.
"""

import hashlib
import hmac
import os
from collections.abc import Iterable

import numpy as np
import polars as pl

from pipelines.publication.schema import PREDICTIONS, REASON_COLUMNS

KEY_BYTES = 32
COMMITTED = tuple(name for name in PREDICTIONS.columns if name not in ("row_key", "commitment"))


def commit_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows (columns ``COMMITTED``) with ``row_key`` and ``commitment``, 32 bytes each."""
    random = os.urandom(KEY_BYTES * rows.height)
    keys = [random[start : start + KEY_BYTES] for start in range(0, len(random), KEY_BYTES)]
    return rows.with_columns(
        row_key=pl.Series(keys, dtype=pl.Binary),
        commitment=pl.Series(_commitments(rows, keys), dtype=pl.Binary),
    )


def rows_digest(commitments: Iterable[bytes]) -> str:
    """One sha256 over all commitments of a publication, in ascending order."""
    return hashlib.sha256(b"".join(sorted(commitments))).hexdigest()


def broken_commitments(rows: pl.DataFrame) -> int:
    """How many rows are not those that were committed to."""
    found = _commitments(rows, rows["row_key"].to_list())
    return sum(a != b for a, b in zip(found, rows["commitment"].to_list(), strict=True))


def _commitments(rows: pl.DataFrame, keys: list[bytes]) -> list[bytes]:
    texts = _as_text(rows).to_list()
    return [
        hmac.digest(key, text.encode(), "sha256") for key, text in zip(keys, texts, strict=True)
    ]


def _as_text(rows: pl.DataFrame) -> pl.Series:
    """A row as one text that no other row has: the bits of numbers, texts with their length.

    Reasons are added where there are any: what was committed to before they were published, and
    what has none, is the same text.
    """
    plain = _joined(rows, [name for name in COMMITTED if name not in REASON_COLUMNS])
    explained = plain + "|" + _joined(rows, list(REASON_COLUMNS))
    return explained.zip_with(rows["reason_method"].is_not_null(), plain)


def _joined(rows: pl.DataFrame, names: list[str]) -> pl.Series:
    columns = [_column_as_text(rows[name]).alias(name) for name in names]
    return pl.DataFrame(columns).select(pl.concat_str(pl.all(), separator="|")).to_series()


def _column_as_text(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Float64:
        # No published number is NaN: it stands for what a task does not have.
        bits = column.fill_null(float("nan")).to_numpy().view(np.int64)
        return pl.Series(bits).cast(pl.String)
    if column.dtype in (pl.String, pl.Null):
        column = column.cast(pl.String)
        frame = column.to_frame("text")
        sized = pl.format("{}:{}", pl.col("text").str.len_bytes(), pl.col("text"))
        return frame.select(sized).to_series().fill_null("null")
    if column.dtype == pl.Datetime:
        column = column.dt.convert_time_zone("UTC").dt.epoch("us")
    return column.cast(pl.Int64).cast(pl.String).fill_null("null")
