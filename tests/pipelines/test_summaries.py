"""Summaries of what was measured, known at the index time, as static features."""

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from pipelines.ehr import domain
from tests.pipelines.ward_examples import named, steps, study, tables_of

ALL = ("mean", "minimum", "maximum", "deviation", "first")


def test_summaries_are_of_what_was_known_at_the_index_time(ward: str) -> None:
    config = study(ward, bin_minutes=60, summaries=ALL)
    tables = tables_of(config)
    examples = domain.training_examples(config, tables.events, tables.subjects)

    told = named(tables, examples.frame).select([f"hr_{name}" for name in ALL])
    # The first stay's hours: 90 (of 80 and 100), 110 and 90 again; the second has none.
    mean = 290 / 3
    deviation = ((2 * (90 - mean) ** 2 + (110 - mean) ** 2) / 3) ** 0.5
    assert told.row(0) == pytest.approx((mean, 90.0, 110.0, deviation, 90.0))
    assert told.row(1) == (None,) * 5
    assert told.row(2) == (70.0, 70.0, 70.0, 0.0, 70.0)
    assert set(examples.statics) >= {"hr_mean", "weight_first"}


def test_what_comes_later_changes_no_summary(ward: str) -> None:
    config = study(ward, bin_minutes=60, summaries=ALL)
    tables = tables_of(config)
    before = domain.training_examples(config, tables.events, tables.subjects).frame

    hr = tables.events.filter(pl.col("code").cast(pl.String) == "hr").head(1)
    later = datetime(2000, 1, 3, 0, 0, 1, tzinfo=UTC)
    moved = [
        hr.with_columns(time=pl.lit(later), known_time=pl.lit(later)),
        # Measured in time and known too late.
        hr.with_columns(known_time=pl.lit(later)),
    ]
    schema = tables.events.schema
    added = [one.with_columns(numeric_value=pl.lit(299.0)).cast(schema) for one in moved]
    more = pl.concat([tables.events, *added])
    after = domain.training_examples(config, more, tables.subjects).frame
    assert after.equals(before)


def test_a_restated_value_is_summarised_by_its_newest_version_as_in_the_sequences(
    ward: str,
) -> None:
    config = study(ward, summaries=ALL)
    tables = tables_of(config)
    is_first = (pl.col("code").cast(pl.String) == "hr") & (pl.col("numeric_value") == 80)
    again = tables.events.filter(is_first).with_columns(
        numeric_value=pl.lit(120.0, pl.Float32),
        known_time=pl.col("known_time") + pl.duration(minutes=90),
    )
    assert again.height == 1
    restated = replace(tables, events=pl.concat([tables.events, again]))

    examples = domain.training_examples(config, restated.events, restated.subjects)
    told = named(restated, examples.frame).select("hr_mean", "hr_minimum", "hr_first").row(0)
    assert told == (105.0, 90.0, 120.0)  # of 120, no longer 80, and of 100, 110 and 90
    assert [value for _, value in steps(config, restated, "hr")] == [120.0, 100.0, 110.0, 90.0]
