"""Why each row has its score, from one line per reason to the columns of a published row."""

import polars as pl

from pipelines.publication.contract import REASONS
from pipelines.publication.schema import REASON_RANKS

# One line per reason. rank: 1 is the weightiest; days_before: null for what has no time.
LONG: dict[str, pl.DataType] = {
    "subject_id": pl.Int64(),
    "rank": pl.Int32(),
    "channel": pl.String(),
    "days_before": pl.Float64(),
    "contribution": pl.Float64(),
    "method": pl.String(),
}


def with_reasons(rows: pl.DataFrame, reasons: pl.DataFrame) -> pl.DataFrame:
    """The rows with the columns of ``REASONS``, null for a subject without any.

    reasons: the columns of ``LONG``; ranks beyond those that are published are left out.
    """
    wide = rows.join(
        reasons.filter(rank=1).select("subject_id", reason_method="method"),
        on="subject_id",
        how="left",
        maintain_order="left",
    )
    for rank in REASON_RANKS:
        told = reasons.filter(pl.col("rank") == rank).select(
            "subject_id",
            *(
                pl.col(what).alias(f"reason_{rank}_{what}")
                for what in ("channel", "days_before", "contribution")
            ),
        )
        wide = wide.join(told, on="subject_id", how="left", maintain_order="left")
    return wide.with_columns(pl.col(name).cast(kind) for name, kind in REASONS.items())
