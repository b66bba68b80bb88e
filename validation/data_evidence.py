"""What an audit says of the data: files, quarantine, exclusions, checks, findings and splits.

Counts that would disclose a cell of 1 to 10 are null here already.
"""

from typing import Literal

from validation.estimates import Count, Counts, Number, Record


class FileRows(Record):
    """What became of the rows of a source file. empty: rows that state nothing."""

    file: str
    rows_in: Count
    accepted: Count
    quarantined: Count
    duplicates: Count
    empty: Count = 0

    @property
    def adds_up(self) -> bool:
        return self.rows_in == self.accepted + self.quarantined + self.duplicates + self.empty


class QuarantineRule(Record):
    file: str
    rule: str
    rows: Count
    words: str = ""


class FlowGroup(Record):
    """Subjects of one level in a step of the flow; null = hidden."""

    attribute: str
    level: str
    subjects: Count | None


class FlowStep(Record):
    """One step of the exclusions flow, in order: who left and who remained."""

    step: str
    words: str
    excluded: Count
    remaining: Count
    excluded_groups: tuple[FlowGroup, ...] = ()
    remaining_groups: tuple[FlowGroup, ...] = ()


class Finding(Record):
    """Something the checks found in the data, in words and counts: never a value."""

    kind: str
    where: str
    words: str
    count: Count | None = None
    share: Number | None = None


class CheckResult(Record):
    """One rule, expectation or leakage check. words: what was demanded and what was seen."""

    name: str
    table: str
    kind: Literal["rule", "contract", "leakage", "audit"]
    passed: bool
    words: str
    unexpected: Count | None = None


class SplitSize(Record):
    split: str
    counts: Counts


class DataEvidence(Record):
    files: tuple[FileRows, ...] = ()
    quarantine: tuple[QuarantineRule, ...] = ()
    flow: tuple[FlowStep, ...] = ()
    findings: tuple[Finding, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    splits: tuple[SplitSize, ...] = ()
