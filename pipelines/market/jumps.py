"""How far a close is from the session before: what an unadjusted split is found by."""

import polars as pl


def close_ratios(
    cells: pl.DataFrame, splits: pl.DataFrame, closes_are_adjusted: bool
) -> pl.DataFrame:
    """Each close over the newest close of the session before that was known by then.

    Adjusted closes are taken where an instrument has them. Raw ones are first corrected by the
    split of their session, if the source declares one that was known with the bar.

    Args:
        cells: subject, session, session_ordinal, known_time, code and value_text.
        splits: subject, session, ratio (new shares per old share) and known_time.

    Returns:
        subject, session_ordinal, known_time, close_ratio; none where either close is missing.
    """
    closes = _closes(cells)
    previous = closes.select(
        "subject",
        "known_time",
        next_ordinal=pl.col("session_ordinal") + 1,
        previous="price",
    )
    paired = closes.join_asof(
        previous,
        on="known_time",
        by_left=["subject", "session_ordinal"],
        by_right=["subject", "next_ordinal"],
        strategy="backward",
        check_sortedness=False,
    )
    explained = pl.lit(1.0)
    if not closes_are_adjusted:
        explained = pl.when(pl.col("code") == "close").then("ratio").fill_null(1.0)
    return _with_split(paired, splits).select(
        "subject",
        "session_ordinal",
        "known_time",
        close_ratio=pl.col("price") * explained / pl.col("previous"),
    )


def _closes(cells: pl.DataFrame) -> pl.DataFrame:
    """One price per instrument, session and known time, in order of known time."""
    version = ["subject", "session_ordinal", "known_time"]
    price = pl.col("value_text").cast(pl.Float64, strict=False)
    return (
        cells.filter(pl.col("code").is_in(["close", "adjusted_close"]))
        .with_columns(has_adjusted=(pl.col("code") == "adjusted_close").any().over("subject"))
        .filter(~pl.col("has_adjusted") | (pl.col("code") == "adjusted_close"))
        .filter(pl.all_horizontal(pl.col(*version).is_not_null()))
        .select(*version, "session", "code", price=price)
        .filter(pl.col("price").is_finite() & (pl.col("price") > 0))
        .unique(version, keep="first", maintain_order=True)
        .sort("known_time", maintain_order=True)
    )


def _with_split(closes: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Closes with the ratio of their session's split, the newest that was known with them."""
    return closes.join_asof(
        splits.sort("known_time", maintain_order=True),
        on="known_time",
        by=["subject", "session"],
        strategy="backward",
        check_sortedness=False,
    )
