"""Channels that say the same thing: found by comparing all pairs, never by name."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import polars as pl

COPY_SHARE = 0.99
MINIMUM_JOINED_ROWS = 50
MOST_OF_YES_AND_NO = 2


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


class CopySearch:
    """Looks for copies in a table that comes in parts, each with all rows of its subjects."""

    def __init__(self) -> None:
        self._values: dict[str, set[float]] = {}
        self._joined: Counter[tuple[str, str]] = Counter()
        self._equal: Counter[tuple[str, str]] = Counter()

    def add(self, events: pl.DataFrame) -> None:
        """Count the pairs of a part's moments."""
        means = (
            events.filter(pl.col("numeric_value").is_not_null())
            .with_columns(pl.col("code").cast(pl.String))
            .group_by("subject_id", "time", "code")
            .agg(pl.col("numeric_value").mean())
        )
        codes = []
        for (code,), rows in means.partition_by("code", as_dict=True).items():
            # Whether there are more than two values is all that is asked.
            values = rows["numeric_value"].unique().head(3).to_list()
            self._values[code] = self._values.get(code, set()) | set(values)
            codes.append(code)
        wide = means.pivot("code", index=["subject_id", "time"], values="numeric_value")
        for one, other in combinations(sorted(codes), 2):
            both = wide.select(one, other).drop_nulls()
            self._joined[one, other] += both.height
            self._equal[one, other] += int((both[one] == both[other]).sum())

    def found(self) -> list[CopiedChannel]:
        """The copies in all parts, in alphabetical order."""
        rich = {code for code, values in self._values.items() if len(values) > MOST_OF_YES_AND_NO}
        pairs = [
            CopiedChannel(one, other, joined, self._equal[one, other])
            for (one, other), joined in sorted(self._joined.items())
            if joined >= MINIMUM_JOINED_ROWS and {one, other} <= rich
        ]
        return [pair for pair in pairs if pair.share >= COPY_SHARE]


def copied_channels(parts: Iterable[pl.DataFrame]) -> list[CopiedChannel]:
    """Pairs of numeric channels equal in at least 99 % of the moments at which both were measured.

    Rows are joined on subject and time; a channel measured twice in a moment is represented by
    its mean. Channels of two or fewer distinct values (yes and no) are not compared: they agree
    by chance. The pair is named in alphabetical order.

    Args:
        parts: the event table in parts, each with all rows of its subjects.
    """
    search = CopySearch()
    for part in parts:
        search.add(part)
    return search.found()
