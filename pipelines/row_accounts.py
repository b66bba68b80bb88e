"""What became of a source's rows, file by file: counted in parts, added up, asserted."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from pipelines.errors import SourceInvalid

Place = tuple[str, str]


@dataclass(frozen=True)
class FileAccount:
    """rows in = empty + accepted + quarantined + duplicates, for one part of one file.

    A duplicate breaks no rule: every broken row is quarantined, however often it is repeated.
    """

    file: str
    part: str
    rows_in: int
    empty: int
    accepted: int
    quarantined: int
    duplicates: int
    quarantined_by_rule: dict[str, int]
    reasons: dict[str, str]

    @property
    def place(self) -> Place:
        return self.file, self.part

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def plus(self, other: "FileAccount") -> "FileAccount":
        """Both together: of other rows of the same part of the same file."""
        by_rule = Counter(self.quarantined_by_rule) + Counter(other.quarantined_by_rule)
        reasons = self.reasons | other.reasons
        return FileAccount(
            self.file,
            self.part,
            rows_in=self.rows_in + other.rows_in,
            empty=self.empty + other.empty,
            accepted=self.accepted + other.accepted,
            quarantined=self.quarantined + other.quarantined,
            duplicates=self.duplicates + other.duplicates,
            quarantined_by_rule={rule: by_rule[rule] for rule in sorted(by_rule)},
            reasons={rule: reasons[rule] for rule in sorted(reasons)},
        )

    def adding_up(self) -> "FileAccount":
        """The account itself, if every row went somewhere.

        Raises:
            SourceInvalid: one did not.
        """
        found = self.empty + self.accepted + self.quarantined + self.duplicates
        if found != self.rows_in:
            raise do_not_add_up(self.rows_in, found, self.place)
        return self


def added_up(parts: Iterable[Iterable[FileAccount]]) -> list[FileAccount]:
    """The accounts of parts of a source, added up; in the order in which each was named first."""
    found: dict[tuple[str, str, int], FileAccount] = {}
    for accounts in parts:
        # The rows of subjects and those of events may lie in one place: two accounts in order.
        seen: Counter[Place] = Counter()
        for account in accounts:
            key = (*account.place, seen[account.place])
            seen[account.place] += 1
            found[key] = found[key].plus(account) if key in found else account
    return [account.adding_up() for account in found.values()]


def require_all_rows(accounts: Iterable[FileAccount], source_rows: Mapping[Place, int]) -> None:
    """Every row of the source is in the accounts, once.

    Args:
        accounts: of all parts together.
        source_rows: how many rows there are in each part of a file, counted beforehand.

    Raises:
        SourceInvalid: rows were lost, or read twice.
    """
    counted: Counter[Place] = Counter()
    for account in accounts:
        counted[account.place] += account.rows_in
    for place, rows in source_rows.items():
        if counted[place] != rows:
            raise do_not_add_up(rows, counted[place], place)


def account_table(accounts: Iterable[FileAccount]) -> pl.DataFrame:
    """A row per account, without the rules."""
    return pl.DataFrame([account.as_dict() for account in accounts]).drop(
        "quarantined_by_rule", "reasons"
    )


def do_not_add_up(rows: int, found: int, place: Place) -> SourceInvalid:
    """The error of rows that were lost or counted twice."""
    return SourceInvalid(
        f"Rows do not add up: {rows:,} in, {found:,} accounted for.",
        where=f"{place[0]} ({place[1]})",
        remedy="If the source changed while it was read, run again. Else this is a fault of "
        "Equipoise: please report it with the file's layout.",
    )
