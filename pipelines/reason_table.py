"""The table of reasons: one line per reason, as it is explained and as it is published.

A reason is a fact about a person: it is kept and erased like the prediction that it explains.
"""

import polars as pl

# rank: 1 is the weightiest; days_before: null for what has no time, as an age.
REASONS: dict[str, pl.DataType] = {
    "subject_id": pl.Int64(),
    "rank": pl.Int32(),
    "channel": pl.String(),
    "days_before": pl.Float64(),
    "contribution": pl.Float64(),
    "method": pl.String(),
}
