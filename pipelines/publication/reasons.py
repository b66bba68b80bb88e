"""Why each row has its score, from one line per reason to the columns of a published row."""

import polars as pl

from pipelines.publication.contract import REASONS
from pipelines.publication.schema import REASON_RANKS


def with_reasons(rows: pl.DataFrame, reasons: pl.DataFrame) -> pl.DataFrame:
    """The rows with the columns of ``REASONS``, null for a subject without any.

    reasons: the columns of ``pipelines.reason_table``; ranks that are not published are left out.
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
