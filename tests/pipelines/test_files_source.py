"""Records in files of one's own: times in any unit, descriptors as codes, missing as said."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from pipelines.ehr import domain
from pipelines.ehr.config import LongTable, SubjectTable
from pipelines.ehr.source_rows import event_rows
from pipelines.errors import SourceInvalid, SourceMissing
from tests.pipelines.ward_examples import EHR, STAYS, named, steps, study, tables_of


def test_every_row_is_accepted_quarantined_with_its_reason_or_says_nothing(ward: str) -> None:
    tables = tables_of(study(ward))

    chart = next(account for account in tables.accounts if account.part == "what")
    assert chart.file == f"ward/chart.{ward}"
    # Of 21 rows two say that nothing was recorded (a weight, a sex), two cannot be, and four are
    # of a stay of whom two ages are told.
    assert (chart.rows_in, chart.empty, chart.accepted, chart.quarantined) == (21, 2, 14, 5)
    assert chart.quarantined_by_rule == {
        "subject_without_row": 3,
        "value_physically_impossible": 2,
    }
    broken = tables.quarantine.filter(pl.col("rule") == "value_physically_impossible")
    assert broken.select("value_text", "source_row", "source_file").rows() == [
        ("-1.0", 13, f"ward/chart.{ward}"),
        ("900.0", 14, f"ward/chart.{ward}"),
    ]


def test_subjects_are_described_by_codes_and_a_contradiction_is_no_description(ward: str) -> None:
    tables = tables_of(study(ward))

    people = named(tables, tables.subjects)
    assert people["source_id"].to_list() == ["1", "2", "3"]
    assert people["sex"].to_list() == ["male", "female", "unknown"]
    assert people["unit"].to_list() == ["heart surgery", "medical", None]
    assert people["ward_part"].to_list() == ["a", "a", "b"]
    assert people["birth"].dt.year().to_list() == [1930, 1970, 1945]
    told = tables.quarantine.filter(pl.col("part") == "subjects")
    assert told["rule"].to_list() == ["unreadable_birth"]


def test_an_outcome_without_a_date_follows_the_index_and_nobody_is_censored(ward: str) -> None:
    config = study(ward)
    tables = tables_of(config)
    examples = domain.training_examples(config, tables.events, tables.subjects)

    frame = named(tables, examples.frame)
    assert frame["index_time"].unique().to_list() == [datetime(2000, 1, 3, tzinfo=UTC)]
    assert frame["label"].to_list() == [0.0, 1.0, 0.0]
    assert frame["outcome"].to_list() == ["followed", "event", "followed"]
    assert examples.groups == ("sex", "age_band", "unit", "ward_part")
    assert examples.statics == ("age_years", "sex_male", "unit_medical", "unit_heart_surgery")
    told = frame.select(examples.statics[1:])
    assert told.rows() == [(1.0, 0.0, 1.0), (0.0, 1.0, 0.0), (None, None, None)]


def test_minutes_are_steps_of_their_own_without_bins(ward: str) -> None:
    config = study(ward)

    assert steps(config, tables_of(config), "hr") == [
        (47.883, 80.0),
        (47.167, 100.0),
        (46.983, 110.0),
        (0.0, 90.0),
    ]


def test_a_bin_is_the_mean_of_its_minutes_and_stands_at_its_end(ward: str) -> None:
    config = study(ward, bin_minutes=60)

    tables = tables_of(config)
    assert steps(config, tables, "hr") == [(47.0, 90.0), (46.0, 110.0), (0.0, 90.0)]
    assert steps(config, tables, "weight") == [(48.0, 80.0)]


def test_a_bin_is_not_known_before_it_ends(ward: str) -> None:
    config = study(ward, bin_minutes=60)
    tables = tables_of(config)

    bins = domain.feature_events(config, tables.events, tables.subjects)
    assert (bins["known_time"] >= bins["time"]).all()
    moment = datetime(2000, 1, 1, 1, 59, tzinfo=UTC)
    seen = domain.scoring_examples(config, tables.events, tables.subjects, moment)
    # At 1:59 the second hour's value, measured at 1:01, is not a feature yet.
    assert named(tables, seen.frame)["index_time"].to_list()[0] == datetime(
        2000, 1, 1, 1, tzinfo=UTC
    )


@pytest.mark.parametrize("minutes", [7, 50, 960])
def test_a_bin_that_does_not_fill_a_day_is_refused(minutes: int) -> None:
    with pytest.raises(ValidationError, match=f"divisor of 1,440.*found {minutes}"):
        study("csv", bin_minutes=minutes)


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"cohort": {"index": "hour_48", "exclude_prior": ["hr"]}}, "prior hr"),
        ({"outcome": EHR["outcome"] | {"codes": ["hr"]}}, "already"),
    ],
)
def test_who_had_it_is_known_before_the_bin_ends(
    ward: str, changes: dict[str, Any], step: str
) -> None:
    config = study(ward, bin_minutes=60, **changes)
    tables = tables_of(config)
    # The first stay's heart rate of 0:07 is no feature before 1:00, and known all the same.
    moment = datetime(2000, 1, 1, 0, 10, tzinfo=UTC)
    seen = domain.scoring_examples(config, tables.events, tables.subjects, moment)
    assert {each.step: each.excluded for each in seen.flow}[step] == 1
    assert seen.frame.is_empty()


def test_the_fingerprint_is_of_the_files_content(ward: str, tmp_path: Path) -> None:
    config = study(ward)
    before = domain.fingerprint(config)
    assert sorted(before) == [f"chart.{ward}", f"stays.{ward}"]

    file = tmp_path / "ward" / f"stays.{ward}"
    file.write_bytes(file.read_bytes() + b"\n")
    assert domain.fingerprint(config)[f"chart.{ward}"] == before[f"chart.{ward}"]
    assert domain.fingerprint(config)[f"stays.{ward}"] != before[f"stays.{ward}"]


def test_a_file_that_is_not_there_is_told_with_where_it_should_be(
    ward: str, tmp_path: Path
) -> None:
    (tmp_path / "ward" / f"chart.{ward}").unlink()
    with pytest.raises(SourceMissing, match=f"no file ward/chart.{ward}"):
        tables_of(study(ward))


def test_a_column_that_is_not_there_is_told(ward: str, tmp_path: Path) -> None:
    file = tmp_path / "ward" / f"stays.{ward}"
    stays = pl.DataFrame(STAYS).rename({"died": "dead"})
    stays.write_parquet(file) if ward == "parquet" else stays.write_csv(file)
    with pytest.raises(SourceInvalid, match="has no column died; it has 3 others"):
        tables_of(study(ward))


@pytest.mark.parametrize(
    ("unit", "text", "moment"),
    [
        ("minutes", "90", datetime(2000, 1, 1, 1, 30, tzinfo=UTC)),
        ("hours", "-1.5", datetime(1999, 12, 31, 22, 30, tzinfo=UTC)),
        ("days", "0.25", datetime(2000, 1, 1, 6, tzinfo=UTC)),
        ("timestamps", "2001-02-03T04:05:06.5", datetime(2001, 2, 3, 4, 5, 6, 500_000, UTC)),
        ("timestamps", "2001-02-03 04:05:06Z", datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("timestamps", "2001-02-03", datetime(2001, 2, 3, tzinfo=UTC)),
        ("timestamps", "soon", None),
        ("minutes", "soon", None),
    ],
)
def test_a_time_is_read_in_its_unit(unit: str, text: str, moment: datetime | None) -> None:
    part = LongTable.model_validate(
        {"table": "t", "subject": "id", "day": "at", "time_unit": unit, "constant_code": "hr"}
    )
    frame = pl.DataFrame({"id": ["1"], "at": [text], "source_row": [1]})

    assert event_rows(study("csv").source, part, frame, "ward")["time"].to_list() == [moment]


@pytest.mark.parametrize(
    ("cls", "words", "said"),
    [
        (
            LongTable,
            {"table": "t", "subject": "i", "day": 3, "time_unit": "hours", "constant_code": "x"},
            "`day` is a number of days",
        ),
        (
            LongTable,
            {"table": "t", "subject": "i", "day": "d", "code": "c", "missing_values": {"x": -1}},
            "no column of values",
        ),
        (
            SubjectTable,
            EHR["source"]["subjects"]
            | {"attributes": {"sex": {"column": "s", "values": {"1": "m"}}}},
            "sex is taken",
        ),
        (
            SubjectTable,
            EHR["source"]["subjects"] | {"attributes": {"unit": {"column": "u"}}},
            r"attributes\.unit\.values",
        ),
    ],
)
def test_a_source_that_contradicts_itself_is_refused(cls: Any, words: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        cls.model_validate(words)
