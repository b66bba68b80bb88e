"""The demonstration's own records: the known traps are found by the general rules."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines import example_source, sequence_recipes
from pipelines.errors import ContractBroken, LeakageFound
from pipelines.event_store import read_events
from pipelines.sequences import Sequences, gather_sequences
from pipelines.stage import store
from pipelines.stages.check_events import check_events
from pipelines.stages.ingest_events import ingest_events
from pipelines.whole_stages import whole_sequences

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(home))
        patch.setenv("EQUIPOISE_STUDIES", str(STUDIES))
        yield home


@pytest.fixture(scope="module")
def events(home: Path) -> str:
    return ingest_events("nafld_diabetes")


@pytest.fixture(scope="module")
def sequences(events: str) -> str:
    return whole_sequences("nafld_diabetes", events)


def read(key: str, file: str) -> pl.DataFrame:
    return pl.read_parquet(store().open(key) / file)


def test_rows_add_up_per_file_and_the_duplicates_are_the_measurements(events: str) -> None:
    accounts = read(events, "accounts.parquet")
    found = {row["part"]: row for row in accounts.iter_rows(named=True)}

    for row in found.values():
        parts = row["empty"] + row["accepted"] + row["quarantined"] + row["duplicates"]
        assert row["rows_in"] == parts
    assert found["test"]["rows_in"] == 400_123
    assert found["test"]["duplicates"] == 3_817
    assert (found["event"]["accepted"], found["event"]["duplicates"]) == (34_340, 0)


def test_repeated_diagnoses_on_other_days_are_events_and_survive(events: str) -> None:
    table = read_events(store().open(events))
    diagnoses = table.filter(pl.col("source_file") == "survival/nafld3")

    assert diagnoses.height - diagnoses.select("subject_id", "code").n_unique() == 1_762


def test_impossible_values_are_quarantined_with_their_rows(events: str) -> None:
    quarantine = read(events, "quarantine.parquet")

    assert quarantine["rule"].unique().to_list() == ["value_physically_impossible"]
    assert set(quarantine["code"]) == {"sbp", "dbp"}
    assert quarantine["source_row"].n_unique() == quarantine.height == 11


def test_no_source_id_is_left_in_the_tables(events: str) -> None:
    subjects = read(events, "subjects.parquet")

    assert subjects["subject_id"].min() > 17_566  # type: ignore[operator]
    assert subjects["cluster"].min() > 17_566  # type: ignore[operator]


def test_copied_channels_are_found_and_acknowledged(events: str) -> None:
    checks = json.loads(
        (store().open(check_events("nafld_diabetes", events)) / "checks.json").read_text()
    )

    pairs = [(copy["code"], copy["copy_of"], copy["share"]) for copy in checks["copied_channels"]]
    assert pairs == [("chol", "hdl", 1.0), ("dbp", "sbp", 1.0)]
    assert all(check["passed"] for check in checks["checks"])


def test_a_copy_that_the_study_does_not_acknowledge_fails_the_check_and_keeps_its_report(
    events: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (STUDIES / "nafld_diabetes.yaml").read_text().replace(", copy_of: hdl", "")
    (tmp_path / "nafld_diabetes.yaml").write_text(text)
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path))
    with pytest.raises(ContractBroken, match="copies") as broken:
        check_events("nafld_diabetes", events)

    assert Path(broken.value.where).is_file()


def test_the_cohort_and_its_outcomes_are_the_published_ones(sequences: str) -> None:
    examples = read(sequences, "examples.parquet")
    outcomes = dict(examples.group_by("outcome").len().iter_rows())

    assert examples.height == 15_155
    assert outcomes == {"event": 703, "competing": 457, "followed": 8_223, "censored": 5_772}
    weighted = examples.filter(pl.col("label").is_not_null())
    prevalence = np.average(weighted["label"], weights=weighted["weight"])
    assert prevalence == pytest.approx(0.056, abs=0.001)


def test_matched_sets_stay_together(sequences: str) -> None:
    examples = read(sequences, "examples.parquet")

    assert examples.group_by("cluster").agg(pl.col("split").n_unique())["split"].max() == 1


def leaky(
    events: pl.DataFrame, examples: pl.DataFrame, channels: list[str], lookback: int | None
) -> Sequences:
    """A builder with the classic fault: it looks one day past the index time."""
    later = examples.with_columns(pl.col("index_time") + pl.duration(days=1))
    return gather_sequences(events, later, channels, lookback)


def test_a_builder_that_looks_a_day_ahead_is_caught_by_the_replay(
    events: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example_source, "gather_sequences", leaky)
    monkeypatch.setattr(sequence_recipes, "source_module", lambda domain: "pipelines.ehr.groups")
    with pytest.raises(LeakageFound, match="truncation_replay"):
        whole_sequences("nafld_diabetes", events)
