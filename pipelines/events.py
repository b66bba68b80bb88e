"""Source rows become the event table, the subject table and the quarantine; nothing is lost."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from pipelines.errors import SourceInvalid
from pipelines.row_accounts import FileAccount, Place
from validation.rules import first_broken_rule

# What makes two rows of a source the same statement.
STATEMENT = ("subject", "time_text", "known_time", "code", "value_text", "unit")

# What a domain declares of each code: ``Records.codes``.
CODE_TYPES = {
    "code": pl.String,
    "needs_value": pl.Boolean,
    "low": pl.Float64,
    "high": pl.Float64,
    "declared_unit": pl.String,
}


@dataclass(frozen=True)
class Records:
    """A domain's source rows, and the rules by which they are to be judged.

    ``subjects`` holds file, part, source_row, subject, cluster, known_time and the domain's
    attributes; ``events`` holds file, part, source_row, subject, time_text, time, known_time,
    code, value_text, unit and whatever only a rule looks at. ``codes`` declares per code
    needs_value, low, high and declared_unit.
    ``event_rules`` and ``subject_rules`` are expressions by name, true where a row breaks the
    rule; they also see ``value`` (f64), the columns of ``codes``, ``known_subject`` and the
    ``attributes_in_rules`` of the row's subject. ``reasons`` says each rule in words.
    ``part`` says which columns of a file a row stands for, ``empty_cells`` counts by (file, part)
    the cells of wide tables that state nothing, ``parts`` and ``subject_parts`` name every (file,
    part) of events and of subjects that the study declares, so that one without rows is accounted
    for too. ``source_rows`` is how many rows there are in each of these in the whole source,
    where these records are of a part of its subjects.
    """

    subjects: pl.DataFrame
    events: pl.DataFrame
    codes: pl.DataFrame
    subject_rules: Mapping[str, pl.Expr]
    event_rules: Mapping[str, pl.Expr]
    reasons: Mapping[str, str]
    empty_cells: Mapping[Place, int]
    attributes_in_rules: tuple[str, ...] = ()
    parts: tuple[Place, ...] = ()
    subject_parts: tuple[Place, ...] = ()
    source_rows: Mapping[Place, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ingested:
    """The tables of ``ingest_events``; ``crosswalk`` (subject_id, source_id) lives apart."""

    events: pl.DataFrame
    subjects: pl.DataFrame
    quarantine: pl.DataFrame
    crosswalk: pl.DataFrame
    accounts: list[FileAccount]


Pseudonymise = Callable[[pl.Series], pl.Series]


def ingest(records: Records, pseudonymise: Pseudonymise) -> Ingested:
    """Judge every row by the rules, name subjects by pseudonym, count everything.

    Raises:
        SourceInvalid: rows do not add up, or two subjects share a pseudonym.
    """
    subjects = _judge_subjects(records)
    events = _judge_events(records, _accepted(subjects))
    crosswalk = _crosswalk(_accepted(subjects), pseudonymise)
    return Ingested(
        events=_event_table(_accepted(events), crosswalk),
        subjects=_subject_table(_accepted(subjects), crosswalk, pseudonymise),
        quarantine=_quarantine_table(records, [subjects, events]),
        crosswalk=crosswalk,
        accounts=_accounts(records, [subjects, events]),
    )


def crosswalk_of(records: Records, pseudonymise: Pseudonymise) -> pl.DataFrame:
    """The crosswalk (subject_id, source_id) alone, as ``ingest`` makes it.

    Raises:
        SourceInvalid: two subjects share a pseudonym.
    """
    return _crosswalk(_accepted(_judge_subjects(records)), pseudonymise)


def _judge_subjects(records: Records) -> pl.DataFrame:
    subjects = records.subjects
    stated = [name for name in subjects.columns if name not in ("file", "part", "source_row")]
    return (
        subjects.with_row_index("place")
        .with_columns(first_said=pl.col("place").min().over(stated))
        .with_columns(repeated=pl.col("first_said") != pl.col("first_said").min().over("subject"))
        .with_columns(rule=first_broken_rule(records.subject_rules))
        .with_columns(duplicate=_is_duplicate(stated))
        .drop("place", "first_said")
    )


def _judge_events(records: Records, subjects: pl.DataFrame) -> pl.DataFrame:
    known = subjects.select("subject", *records.attributes_in_rules, known_subject=pl.lit(True))
    return (
        records.events.with_columns(
            value=pl.col("value_text").cast(pl.Float64, strict=False),
        )
        .join(records.codes, on="code", how="left", maintain_order="left")
        .join(known, on="subject", how="left", maintain_order="left")
        .with_columns(pl.col("known_subject").fill_null(False))
        .with_columns(rule=first_broken_rule(records.event_rules))
        .with_columns(duplicate=_is_duplicate(STATEMENT))
    )


def _is_duplicate(statement: Iterable[str]) -> pl.Expr:
    """Whether a row breaks no rule and says again what an earlier such row said."""
    is_first = pl.struct(*statement, "rule").is_first_distinct()
    return pl.col("rule").is_null() & ~is_first


def _accepted(judged: pl.DataFrame) -> pl.DataFrame:
    return judged.filter(~pl.col("duplicate") & pl.col("rule").is_null())


def _crosswalk(subjects: pl.DataFrame, pseudonymise: Pseudonymise) -> pl.DataFrame:
    source = subjects["subject"].sort()
    crosswalk = pl.DataFrame({"subject_id": pseudonymise(source), "source_id": source})
    if crosswalk["subject_id"].n_unique() != crosswalk.height:
        raise SourceInvalid(
            "Two subjects share a pseudonym.",
            where="the subject table",
            remedy="Replace the pseudonym key and run again.",
        )
    return crosswalk


def _event_table(events: pl.DataFrame, crosswalk: pl.DataFrame) -> pl.DataFrame:
    return events.join(
        crosswalk, left_on="subject", right_on="source_id", maintain_order="left"
    ).select(
        "subject_id",
        "time",
        "known_time",
        pl.col("code").cast(pl.Categorical),
        numeric_value=pl.col("value").cast(pl.Float32),
        text_value=pl.lit(None, pl.String),
        unit=pl.coalesce("unit", "declared_unit"),
        source_file="file",
        source_row="source_row",
    )


def _subject_table(
    subjects: pl.DataFrame, crosswalk: pl.DataFrame, pseudonymise: Pseudonymise
) -> pl.DataFrame:
    joined = subjects.join(
        crosswalk, left_on="subject", right_on="source_id", maintain_order="left"
    )
    # A subject who was drawn with nobody is a cluster alone.
    cluster = pseudonymise(joined["cluster"].fill_null("subject " + joined["subject"]))
    dropped = ("duplicate", "repeated", "rule", "subject", "part")
    return joined.with_columns(cluster=cluster).drop(dropped).rename({"file": "source_file"})


def _quarantine_table(records: Records, judged: list[pl.DataFrame]) -> pl.DataFrame:
    """Source columns as text, with the rule, its reason, the file and the row."""
    texts = ("subject", "time_text", "code", "value_text", "unit")
    frames = []
    for frame in judged:
        kept = [name for name in texts if name in frame.columns]
        frames.append(
            frame.filter(pl.col("rule").is_not_null()).select(
                *[pl.col(name).cast(pl.String) for name in kept],
                "rule",
                pl.col("rule")
                .replace_strict(records.reasons, return_dtype=pl.String)
                .alias("reason"),
                source_file="file",
                part="part",
                source_row="source_row",
            )
        )
    return pl.concat(frames, how="diagonal")


def _accounts(records: Records, judged: list[pl.DataFrame]) -> list[FileAccount]:
    people = list(dict.fromkeys([*records.subject_parts, *_places(records.subjects)]))
    declared = [place for place in (*records.parts, *records.empty_cells) if place not in people]
    places = [people, list(dict.fromkeys([*declared, *_places(records.events)]))]
    accounts = []
    for source, frame, own in zip([records.subjects, records.events], judged, places, strict=True):
        rows_in = _counts(source, pl.len())
        accepted = _counts(frame, (pl.col("rule").is_null() & ~pl.col("duplicate")).sum())
        duplicates = _counts(frame, pl.col("duplicate").sum())
        broken = _broken_rules(frame)
        for place in own:
            empty = 0 if own is people else records.empty_cells.get(place, 0)
            by_rule = broken.get(place, {})
            account = FileAccount(
                *place,
                rows_in=rows_in.get(place, 0) + empty,
                empty=empty,
                accepted=accepted.get(place, 0),
                quarantined=sum(by_rule.values()),
                duplicates=duplicates.get(place, 0),
                quarantined_by_rule=by_rule,
                reasons={rule: records.reasons[rule] for rule in by_rule},
            )
            accounts.append(account.adding_up())
    return accounts


def _places(rows: pl.DataFrame) -> list[Place]:
    """The (file, part) of rows, in the order of their first."""
    return [
        (file, part)
        for file, part in rows.select("file", "part").unique(maintain_order=True).iter_rows()
    ]


def _counts(rows: pl.DataFrame, counted: pl.Expr) -> dict[Place, int]:
    """One count per (file, part), of all of them in one pass: a source may have thousands."""
    counts = rows.group_by("file", "part").agg(counted.alias("count"))
    return {(file, part): count for file, part, count in counts.iter_rows()}


def _broken_rules(judged: pl.DataFrame) -> dict[Place, dict[str, int]]:
    """Rows in quarantine per (file, part) and rule, by the rule's name."""
    broken = judged.filter(pl.col("rule").is_not_null())
    found: dict[Place, dict[str, int]] = {}
    for file, part, rule, rows in (
        broken.group_by("file", "part", "rule").len().sort("rule").iter_rows()
    ):
        found.setdefault((file, part), {})[rule] = rows
    return found
