"""A source's tables, wherever they were read from, become the source rows that rules judge."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta

import polars as pl

from pipelines.ehr.config import (
    EhrConfig,
    EventTable,
    LongTable,
    SourceConfig,
    SubjectTable,
    WideTable,
)
from pipelines.events import CODE_TYPES, Records
from pipelines.row_accounts import Place
from pipelines.source_files import require_named
from validation.rules import REASONS, event_rules, subject_rules

# Wide enough for a life before day zero and a follow-up after it.
EARLIEST_DAYS = -120 * 366
LATEST_DAYS = 60 * 366
# Beyond any range: a day further off is read as this one, lest the clock's 64 bits overflow.
FARTHEST_DAYS = 1_000_000
MICROSECONDS_PER_DAY = 86_400_000_000
UNITS_PER_DAY = {"days": 1, "hours": 24, "minutes": 24 * 60}
TIMESTAMPS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d")


# A table and the column of it that names the subject: what a part of the study's source reads.
Reading = tuple[str, str]


def records_of(
    config: EhrConfig,
    frames: Mapping[Reading, pl.DataFrame],
    folder: str,
    source_rows: Mapping[Reading, int],
) -> Records:
    """The source rows of some subjects, as text beside what they were parsed to.

    Args:
        frames: the rows of these subjects in each table, with ``source_row`` counted from 1.
        folder: what the tables' names follow in accounts and in the quarantine.
        source_rows: how many rows each table has in all.
    """
    source = config.source
    day_zero = _instant(source)
    of_parts = [(part, frames[part.table, part.subject]) for part in source.events]
    return Records(
        subjects=subject_rows(source, described(source.subjects, frames), folder),
        events=pl.concat([event_rows(source, part, frame, folder) for part, frame in of_parts]),
        codes=_declared_codes(config),
        empty_cells=sum(
            (
                Counter({place(folder, part): empty_cells(frame, part)})
                for part, frame in of_parts
                if isinstance(part, WideTable) or part.missing_values
            ),
            Counter(),
        ),
        subject_rules=subject_rules(),
        event_rules=event_rules(
            day_zero + timedelta(days=EARLIEST_DAYS), day_zero + timedelta(days=LATEST_DAYS)
        ),
        reasons=REASONS,
        attributes_in_rules=("birth",),
        parts=tuple(place(folder, part) for part in source.events),
        subject_parts=(place_of_subjects(folder, source.subjects),),
        source_rows=_rows_by_place(source, folder, source_rows),
    )


def require_tables(source: SourceConfig, columns: Mapping[str, list[str]], folder: str) -> None:
    """Every table has the columns that the study names.

    Args:
        columns: table -> its columns.

    Raises:
        SourceInvalid: one has not.
    """
    people, told = source.subjects, source.subjects.described_by
    # What the subject table lacks is taken from the codes that describe subjects.
    named = columns_of(people) if told is None else [people.subject]
    require_named(f"{folder}/{people.table}", columns[people.table], named)
    if told is not None:
        named = [told.subject, told.code, told.value]
        require_named(f"{folder}/{told.table}", columns[told.table], named)
    for part in source.events:
        require_named(f"{folder}/{part.table}", columns[part.table], columns_of(part))


def cells_of(part: EventTable) -> int:
    """How many rows of events a row of the table becomes."""
    return len(part.columns) if isinstance(part, WideTable) else 1


def _rows_by_place(
    source: SourceConfig, folder: str, source_rows: Mapping[Reading, int]
) -> Counter[Place]:
    people = source.subjects
    rows: Counter[Place] = Counter()
    rows[place_of_subjects(folder, people)] += source_rows[people.table, people.subject]
    for part in source.events:
        rows[place(folder, part)] += source_rows[part.table, part.subject] * cells_of(part)
    return rows


def place_of_subjects(folder: str, part: SubjectTable) -> Place:
    """The file of the subjects' rows, and what they are called beside rows of events."""
    return f"{folder}/{part.table}", "subjects"


def place(folder: str, part: EventTable) -> Place:
    """The file a row came from and which of its columns speak."""
    if isinstance(part, WideTable):
        columns = ", ".join(part.columns)
    elif part.constant_code:
        columns = part.constant_code
    else:
        columns = part.code or ""
    return f"{folder}/{part.table}", columns


def columns_of(part: SubjectTable | EventTable) -> list[str]:
    """The columns that a part of the study's source names."""
    fields = ("subject", "day", "code", "value", "age_years", "sex", "matched_set")
    named = [getattr(part, field, None) for field in fields]
    attributes = getattr(part, "attributes", {}).values()
    return [
        *(name for name in named if isinstance(name, str)),
        *(attribute.column for attribute in attributes),
        *getattr(part, "columns", []),
    ]


def described(subjects: SubjectTable, frames: Mapping[Reading, pl.DataFrame]) -> pl.DataFrame:
    """The subject table with a column for each code of its descriptors that it names."""
    frame, part = frames[subjects.table, subjects.subject], subjects.described_by
    if part is None:
        return frame
    said = frames[part.table, part.subject]
    codes = sorted(set(columns_of(subjects)) - set(frame.columns))
    code, value = pl.col(part.code).cast(pl.String), pl.col(part.value).cast(pl.String)
    wide = (
        said.select(pl.col(part.subject).cast(pl.String).alias("_subject"), code=code, value=value)
        .filter(pl.col("code").is_in(codes) & pl.col("value").is_not_null())
        .group_by("_subject", "code")
        .agg(pl.when(pl.col("value").n_unique() == 1).then(pl.col("value").first()))
        .pivot(on="code", on_columns=codes, index="_subject", values="value")
    )
    return (
        frame.with_columns(pl.col(subjects.subject).cast(pl.String).alias("_subject"))
        .join(wide, on="_subject", how="left", maintain_order="left")
        .drop("_subject")
    )


def subject_rows(source: SourceConfig, frame: pl.DataFrame, folder: str) -> pl.DataFrame:
    part = source.subjects
    file, columns = place_of_subjects(folder, part)
    day_zero = pl.lit(source.day_zero)
    # A whole number of years, though a column of numbers may write it as 54.0.
    age = pl.col(part.age_years).cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
    return frame.select(
        pl.lit(file).alias("file"),
        pl.lit(columns).alias("part"),
        "source_row",
        pl.col(part.subject).cast(pl.String).alias("subject"),
        day_zero.dt.offset_by(pl.format("-{}y", age)).alias("birth"),
        _meaning(part.sex, part.sex_values).alias("sex"),
        cluster(part.matched_set).alias("cluster"),
        pl.lit(_instant(source)).dt.cast_time_unit("us").alias("known_time"),
        *(
            _meaning(attribute.column, attribute.values).alias(name)
            for name, attribute in part.attributes.items()
        ),
    )


def _meaning(column: str, values: Mapping[str, str]) -> pl.Expr:
    entry = pl.col(column).cast(pl.String)
    if not values:
        return entry
    return entry.replace_strict(values, default=None, return_dtype=pl.String)


def cluster(column: str | None) -> pl.Expr:
    if column is None:
        return pl.lit(None, pl.String)
    # A set's number may be shipped as 3.0; a set's name that is no number is as good a name.
    number = pl.col(column).cast(pl.Int64, strict=False).cast(pl.String)
    return "set " + pl.coalesce(number, pl.col(column).cast(pl.String))


def event_rows(
    source: SourceConfig, part: EventTable, frame: pl.DataFrame, folder: str
) -> pl.DataFrame:
    stated = _wide(part, frame) if isinstance(part, WideTable) else _long(part, frame)
    file, columns = place(folder, part)
    day = pl.lit(part.day) if isinstance(part.day, int) else pl.col(part.day)
    time_text = day.cast(pl.String)
    moment = _moment(source, part, time_text)
    return stated.select(
        pl.lit(file).alias("file"),
        pl.lit(columns).alias("part"),
        "source_row",
        pl.col(part.subject).cast(pl.String).alias("subject"),
        time_text.alias("time_text"),
        moment.alias("time"),
        (moment + pl.duration(days=source.known_after_days)).alias("known_time"),
        "code",
        "value_text",
        pl.lit(None, pl.String).alias("unit"),
    )


def _moment(source: SourceConfig, part: EventTable, text: pl.Expr) -> pl.Expr:
    """The instant of a text of times since day zero, in UTC to the microsecond.

    Null where the text is no finite number. A whole day is exact: a double holds its
    microseconds without a remainder (86.4e9 = 2^13 * 10,546,875); so are hours and minutes.
    """
    if part.time_unit == "timestamps":
        read = [text.str.strip_suffix("Z").str.to_datetime(f, strict=False) for f in TIMESTAMPS]
        return pl.coalesce(read).dt.cast_time_unit("us").dt.replace_time_zone("UTC")
    per_day = UNITS_PER_DAY[part.time_unit]
    farthest = FARTHEST_DAYS * per_day
    number = text.cast(pl.Float64, strict=False)
    finite = pl.when(number.is_finite()).then(number.clip(-farthest, farthest))
    microseconds = (finite * (MICROSECONDS_PER_DAY // per_day)).round().cast(pl.Int64)
    return pl.lit(_instant(source)).dt.cast_time_unit("us") + pl.duration(microseconds=microseconds)


def _instant(source: SourceConfig) -> datetime:
    return datetime.combine(source.day_zero, time(), UTC)


def _long(part: LongTable, frame: pl.DataFrame) -> pl.DataFrame:
    code = (
        pl.lit(part.constant_code) if part.code is None else _meaning(part.code, part.code_values)
    )
    value = pl.lit(None) if part.value is None else pl.col(part.value)
    # The study's own names come last, so that a source column called `code` cannot hide them.
    kept = {part.subject, *([part.day] if isinstance(part.day, str) else [])}
    return frame.filter(~_is_missing(part)).select(
        "source_row",
        *sorted(kept),
        code.alias("code"),
        value.cast(pl.String).alias("value_text"),
    )


def _is_missing(part: LongTable) -> pl.Expr:
    """Whether the row says that nothing was recorded."""
    if part.value is None or not part.missing_values:
        return pl.lit(value=False)
    code = (
        pl.lit(part.constant_code) if part.code is None else _meaning(part.code, part.code_values)
    )
    written = pl.col(part.value).cast(pl.Float64, strict=False)
    meant = code.replace_strict(part.missing_values, default=None, return_dtype=pl.Float64)
    return (written == meant).fill_null(value=False)


def _wide(part: WideTable, frame: pl.DataFrame) -> pl.DataFrame:
    index = ["source_row", part.subject, *([part.day] if isinstance(part.day, str) else [])]
    return (
        frame.select(*index, *[pl.col(name).cast(pl.String) for name in part.columns])
        .unpivot(on=part.columns, index=index, variable_name="code", value_name="value_text")
        .filter(pl.col("value_text").is_not_null())
    )


def empty_cells(frame: pl.DataFrame, part: EventTable) -> int:
    """How many cells of a wide table, or rows of a long one, say that nothing was recorded."""
    if isinstance(part, LongTable):
        return int(frame.select(_is_missing(part)).to_series().sum())
    return int(frame.select(part.columns).null_count().sum_horizontal().item())


def _declared_codes(config: EhrConfig) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (
                name,
                code.role == "measurement",
                code.plausible[0] if code.plausible else None,
                code.plausible[1] if code.plausible else None,
                code.unit,
            )
            for name, code in config.codes.items()
        ],
        schema=CODE_TYPES,
        orient="row",
    )
