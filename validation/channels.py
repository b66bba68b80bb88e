"""Channels that say the same thing: found by comparing all pairs, never by name."""

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import polars as pl

COPY_SHARE = 0.99
MINIMUM_JOINED_ROWS = 50


@dataclass(frozen=True)
class CopiedChannel:
    """``code`` equals ``copy_of`` in ``equal_rows`` of the ``joined_rows`` where both stand."""

    code: str
    copy_of: str
    joined_rows: int
    equal_rows: int

    @property
    def share(self) -> float:
        return self.equal_rows / self.joined_rows

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"share": self.share}


def copied_channels(events: pl.DataFrame) -> list[CopiedChannel]:
    """Pairs of numeric channels equal in at least 99 % of the moments at which both were measured.

    Rows are joined on subject and time; a channel measured twice in a moment is represented by
    its mean. Channels of two or fewer distinct values (yes and no) are not compared: they agree
    by chance. The pair is named in alphabetical order.
    """
    numeric = events.filter(pl.col("numeric_value").is_not_null())
    means = (
        numeric.with_columns(pl.col("code").cast(pl.String))
        .group_by("subject_id", "time", "code")
        .agg(pl.col("numeric_value").mean())
    )
    rich = means.group_by("code").agg(pl.col("numeric_value").n_unique().alias("values"))
    codes = sorted(rich.filter(pl.col("values") > 2)["code"])
    wide = means.filter(pl.col("code").is_in(codes)).pivot(
        "code", index=["subject_id", "time"], values="numeric_value"
    )
    pairs = [_compare(wide, one, other) for one, other in combinations(codes, 2)]
    return [
        pair
        for pair in pairs
        if pair.joined_rows >= MINIMUM_JOINED_ROWS and pair.share >= COPY_SHARE
    ]


def _compare(wide: pl.DataFrame, one: str, other: str) -> CopiedChannel:
    both = wide.select(one, other).drop_nulls()
    return CopiedChannel(one, other, both.height, int((both[one] == both[other]).sum()))
