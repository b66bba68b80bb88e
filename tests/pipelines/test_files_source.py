"""Records in files of one's own: times in any unit, descriptors as codes, missing as said."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError

from pipelines.ehr import domain
from pipelines.ehr.config import EhrConfig, LongTable, SubjectTable
from pipelines.ehr.source_rows import event_rows
from pipelines.errors import SourceInvalid, SourceMissing
from pipelines.events import Ingested, ingest
from pipelines.pseudonyms import PUBLISHED_KEY, pseudonyms
from pipelines.sequences import gather_sequences

STAYS: dict[str, list[Any]] = {
    "stay": [1, 2, 3, 4],
    "died": [0, 1, 0, 0],
    "set": ["a", "a", "b", "b"],
}
# (stay, minute, what, value); -1 of a weight or a sex says that nobody knows.
CHART: list[tuple[int, int, str, float]] = [
    (1, 0, "age", 70.0),
    (1, 0, "sex", 1.0),
    (1, 0, "unit", 2.0),
    (1, 0, "weight", 80.0),
    (1, 7, "hr", 80.0),
    (1, 50, "hr", 100.0),
    (1, 61, "hr", 110.0),
    (1, 2880, "hr", 90.0),
    (2, 0, "age", 30.0),
    (2, 0, "sex", 0.0),
    (2, 0, "unit", 1.0),
    (2, 0, "weight", -1.0),
    (2, 120, "hr", -1.0),
    (2, 121, "hr", 900.0),
    (3, 0, "age", 55.0),
    (3, 0, "sex", -1.0),
    (3, 0, "unit", 9.0),
    (3, 30, "hr", 70.0),
    (4, 0, "age", 41.0),
    (4, 1, "age", 42.0),
    (4, 0, "sex", 1.0),
]
EHR: dict[str, Any] = {
    "source": {
        "format": "parquet",
        "folder": "ward",
        "day_zero": "2000-01-01",
        "records_are_public": True,
        "subjects": {
            "table": "stays",
            "subject": "stay",
            "described_by": {
                "table": "chart",
                "subject": "stay",
                "code": "what",
                "value": "value",
            },
            "age_years": "age",
            "sex": "sex",
            "sex_values": {"0.0": "female", "1.0": "male", "-1.0": "unknown"},
            "attributes": {
                "unit": {
                    "column": "unit",
                    "values": {"1.0": "medical", "2.0": "heart surgery"},
                    "is_feature": True,
                },
                "ward_part": {"column": "set"},
            },
        },
        "events": [
            {
                "shape": "long",
                "table": "stays",
                "subject": "stay",
                "day": 2,
                "constant_code": "hour_48",
            },
            {
                "shape": "long",
                "table": "stays",
                "subject": "stay",
                "day": 3,
                "code": "died",
                "code_values": {"0": "left", "1": "death"},
            },
            {
                "shape": "long",
                "table": "chart",
                "subject": "stay",
                "day": "minute",
                "time_unit": "minutes",
                "code": "what",
                "value": "value",
                "missing_values": {"weight": -1, "sex": -1},
            },
        ],
    },
    "codes": {
        **{code: {"role": "marker"} for code in ("hour_48", "left", "death", "age", "sex", "unit")},
        "hr": {"role": "measurement", "plausible": [1, 300]},
        "weight": {"role": "measurement", "plausible": [20, 300]},
    },
    "cohort": {"index": "hour_48"},
    "outcome": {
        "title": "death",
        "codes": ["death"],
        "horizon_days": 1,
        "end_of_follow_up": ["left", "death"],
    },
    "age_bands_from_years": [18, 65],
}


def study(kind: str, **changes: Any) -> EhrConfig:
    """The ward's study by files of a kind: a table is named by its file."""
    words = EHR | changes
    named = {"stays": f"stays.{kind}", "chart": f"chart.{kind}"}
    text = TypeAdapter(dict[str, Any]).dump_json(words).decode()
    for table, file in named.items():
        text = text.replace(f'"table":"{table}"', f'"table":"{file}"')
    return EhrConfig.model_validate_json(text.replace('"format":"parquet"', f'"format":"{kind}"'))


@pytest.fixture(params=["parquet", "csv"])
def ward(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same ward as Parquet and as CSV; returns the format."""
    folder = tmp_path / "ward"
    folder.mkdir()
    kind = str(request.param)
    chart = pl.DataFrame(CHART, schema=["stay", "minute", "what", "value"], orient="row")
    for name, frame in {"stays": pl.DataFrame(STAYS), "chart": chart}.items():
        file = folder / f"{name}.{kind}"
        frame.write_parquet(file) if kind == "parquet" else frame.write_csv(file)
    monkeypatch.setenv("EQUIPOISE_DATA", str(tmp_path))
    return kind


def tables_of(config: EhrConfig) -> Ingested:
    return ingest(domain.read_records(config), lambda ids: pseudonyms(ids, PUBLISHED_KEY))


def named(tables: Ingested, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the source's own names, in their order."""
    return frame.join(tables.crosswalk, on="subject_id").sort("source_id")


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


def steps(config: EhrConfig, tables: Ingested, channel: str) -> list[tuple[float, float]]:
    """(hours before the index time, value) of the first stay's steps."""
    examples = domain.training_examples(config, tables.events, tables.subjects)
    first = named(tables, examples.frame).head(1).select("subject_id", "index_time")
    features = domain.feature_events(config, tables.events, tables.subjects)
    found = gather_sequences(features, first, [channel])
    return [
        (round(float(-day) * 24, 3), float(value))
        for day, value in zip(found.step_days, found.observation_value, strict=True)
    ]


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
    with pytest.raises(SourceInvalid, match="has no column died; it has source_row, stay, dead"):
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
            EHR["source"]["subjects"] | {"attributes": {"sex": {"column": "s"}}},
            "sex is taken",
        ),
        (
            SubjectTable,
            EHR["source"]["subjects"]
            | {"attributes": {"unit": {"column": "u", "is_feature": True}}},
            "a feature needs `values`",
        ),
    ],
)
def test_a_source_that_contradicts_itself_is_refused(cls: Any, words: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        cls.model_validate(words)


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
