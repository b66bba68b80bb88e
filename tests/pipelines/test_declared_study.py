"""A study of files with a declared split, from its YAML to its sequences."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from pipelines.cross_validation import windows_of
from pipelines.ehr import domain, outcomes
from pipelines.ehr.config import EhrConfig
from pipelines.ehr.summaries import with_summaries
from pipelines.errors import LeakageFound, SourceInvalid
from pipelines.stage import store
from pipelines.stages.ingest_events import ingest_events
from pipelines.strict_yaml import strict_yaml
from pipelines.study import load_study
from pipelines.whole_stages import whole_sequences
from tests.pipelines.ward_examples import EHR

STAYS = 120
PHYSIONET = Path(__file__).parents[2] / "studies" / "physionet2012.yaml"


@pytest.fixture
def stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with a ward's files of 120 stays; returns the folder of studies."""
    draw = np.random.default_rng(0)
    ward = tmp_path / "data" / "ward"
    ward.mkdir(parents=True)
    numbers = np.arange(STAYS)
    people = pl.DataFrame(
        {"stay": numbers, "died": (numbers % 6 == 0).astype(int), "set": ["a", "a", "b"] * 40}
    )
    people.write_parquet(ward / "stays.parquet")
    told = {"age": 60.0, "sex": 1.0, "unit": 1.0, "weight": 80.0}
    rows = [(stay, 0, what, value) for stay in numbers for what, value in told.items()]
    rows += [(stay, int(at), "hr", 80.0) for stay in numbers for at in draw.integers(1, 2880, 30)]
    chart = pl.DataFrame(rows, schema=["stay", "minute", "what", "value"], orient="row")
    chart.write_parquet(ward / "chart.parquet")
    studies = tmp_path / "studies"
    studies.mkdir()
    for name, value in {
        "EQUIPOISE_HOME": tmp_path,
        "EQUIPOISE_STUDIES": studies,
    }.items():
        monkeypatch.setenv(name, str(value))
    return studies


def write_study(studies: Path, **split: object) -> str:
    words = strict_yaml(PHYSIONET.read_text())
    text = yaml.safe_dump(
        words
        | {
            "ehr": EHR | {"bin_minutes": 60, "summaries": ["mean"]},
            "split": {"kind": "declared", "test": ["b"], "validation": 0.2, "seed": 0} | split,
        }
    )
    for table in ("stays", "chart"):
        text = text.replace(f"table: {table}\n", f"table: {table}.parquet\n")
    (studies / "ward.yaml").write_text(text)
    return "ward"


def test_the_declared_part_is_tested_and_no_fold_looks_at_it(stays: Path) -> None:
    study = write_study(stays, attribute="ward_part")
    sequences = store().path(whole_sequences(study, ingest_events(study)))

    examples = pl.read_parquet(sequences / "examples.parquet")
    assert ((examples["split"] == 2) == (examples["ward_part"] == "b")).all()
    assert set(examples["split"]) == {0, 1, 2}
    folds = windows_of(sequences, load_study(study).cross_validation)
    assert (folds[:, (examples["ward_part"] == "b").to_numpy()] == -1).all()
    assert ((folds == 2).sum(axis=0) == (examples["ward_part"] == "a").to_numpy()).all()


def test_an_attribute_that_the_source_does_not_give_is_told(stays: Path) -> None:
    study = write_study(stays, attribute="ward")
    events = ingest_events(study)

    with pytest.raises(SourceInvalid, match="no attribute ward"):
        whole_sequences(study, events)


def test_a_summary_that_sees_a_day_too_far_is_found_by_the_replay(
    stays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = stays.parent / "data" / "ward" / "chart.parquet"
    chart = pl.read_parquet(file)
    late = (
        chart.filter(pl.col("what") == "hr")
        .unique("stay")
        .with_columns(minute=pl.lit(2890, chart.schema["minute"]), value=pl.lit(250.0))
    )
    pl.concat([chart, late]).write_parquet(file)
    study = write_study(stays, attribute="ward_part")
    events = ingest_events(study)

    def seeing_too_far(
        config: EhrConfig, frame: pl.DataFrame, features: pl.DataFrame
    ) -> pl.DataFrame:
        day = pl.duration(days=1)
        moved = frame.with_columns(pl.col("index_time") + day)
        told = with_summaries(config, moved, features)
        return told.with_columns(pl.col("index_time") - day)

    with monkeypatch.context() as planted:
        for module in (outcomes, domain):
            planted.setattr(module, "with_summaries", seeing_too_far)
        with pytest.raises(LeakageFound, match=r"truncation_replay.*differ in static hr_mean"):
            whole_sequences(study, events)
