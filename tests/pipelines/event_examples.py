"""Small source rows for tests: one subject's worth of everything that can be wrong."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from pipelines.events import CODE_TYPES, Records
from validation.rules import REASONS, event_rules
from validation.rules import subject_rules as rules_of_subjects

DAY_ZERO = datetime(2000, 1, 1, tzinfo=UTC)

CODES = pl.DataFrame(
    [("hdl", True, 1.0, 300.0, "mg/dL"), ("stroke", False, None, None, None)],
    schema=CODE_TYPES,
    orient="row",
)


def event_rows(*rows: tuple[str | None, str | None, str | None, str | None]) -> pl.DataFrame:
    """Rows (subject, day, code, value) as a reader would hand them on."""
    frame = pl.DataFrame(
        rows,
        schema=dict.fromkeys(("subject", "time_text", "code", "value_text"), pl.String),
        orient="row",
    )
    day = pl.col("time_text").cast(pl.Int64, strict=False)
    moment = pl.lit(DAY_ZERO).dt.cast_time_unit("us") + pl.duration(days=day)
    return frame.with_row_index("source_row", offset=1).with_columns(
        pl.col("source_row").cast(pl.Int64),
        file=pl.lit("clinic.csv"),
        part=pl.lit("labs"),
        time=moment,
        known_time=moment,
        unit=pl.lit(None, pl.String),
    )


def subject_rows(*rows: tuple[str, date | None, str | None, str | None]) -> pl.DataFrame:
    """Rows (subject, birth, sex, cluster) as a reader would hand them on."""
    return (
        pl.DataFrame(
            rows,
            schema={
                "subject": pl.String,
                "birth": pl.Date,
                "sex": pl.String,
                "cluster": pl.String,
            },
            orient="row",
        )
        .with_row_index("source_row", offset=1)
        .with_columns(
            pl.col("source_row").cast(pl.Int64),
            file=pl.lit("people.csv"),
            part=pl.lit("subjects"),
            known_time=pl.lit(DAY_ZERO).dt.cast_time_unit("us"),
        )
    )


ADULTS = (("1", date(1950, 1, 1), "female", None), ("2", date(1960, 1, 1), "male", None))


def records(events: pl.DataFrame, subjects: pl.DataFrame | None = None) -> Records:
    """Source rows with two adults unless other subjects are given."""
    return Records(
        subjects=subject_rows(*ADULTS) if subjects is None else subjects,
        events=events,
        codes=CODES,
        subject_rules=rules_of_subjects(),
        event_rules=event_rules(
            DAY_ZERO - timedelta(days=40_000), DAY_ZERO + timedelta(days=10_000)
        ),
        reasons=REASONS,
        empty_cells={},
        attributes_in_rules=("birth",),
    )


def event_table(*rows: tuple[int, float, float, str, float | None]) -> pl.DataFrame:
    """An event table of rows (subject, day, day known, code, value)."""
    frame = pl.DataFrame(
        rows,
        schema={
            "subject_id": pl.Int64,
            "day": pl.Float64,
            "known_day": pl.Float64,
            "code": pl.String,
            "numeric_value": pl.Float32,
        },
        orient="row",
    )
    return frame.select(
        "subject_id",
        time=moment(pl.col("day")),
        known_time=moment(pl.col("known_day")),
        code=pl.col("code").cast(pl.Categorical),
        numeric_value="numeric_value",
    )


def moment(days: pl.Expr) -> pl.Expr:
    """Days since day zero as a UTC time in microseconds."""
    micros = (days * 86_400_000_000).round().cast(pl.Int64)
    return pl.lit(DAY_ZERO).dt.cast_time_unit("us") + pl.duration(microseconds=micros)


def example_table(*rows: tuple[int, float]) -> pl.DataFrame:
    """An example table of rows (subject, index day)."""
    frame = pl.DataFrame(rows, schema={"subject_id": pl.Int64, "day": pl.Float64}, orient="row")
    return frame.select("subject_id", index_time=moment(pl.col("day")))
