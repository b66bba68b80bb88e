"""What the stage publishes of scores: names of instruments, never the source id of a patient."""

import json
from pathlib import Path

import polars as pl
import pytest

from pipelines.domains import load_domain
from pipelines.errors import PublicationGateClosed, SourceMissing
from pipelines.publication.contract import COLUMNS, published_rows
from pipelines.publication.crosswalk import write_crosswalk
from pipelines.publication.rules import NAMES
from pipelines.settings import settings
from pipelines.stages.publish_predictions import _rows
from pipelines.study import Study, load_study
from tests.pipelines.market.market_examples import config
from tests.pipelines.publication_examples import (
    PREDICTIONS_OF,
    publication,
    recorded_release_of,
)

STUDIES = Path(__file__).parents[2] / "studies"
LABELS = {
    "direction": "direction",
    "volatility": "realised_volatility",
    "quantiles": "return_quantiles",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(STUDIES))
    return tmp_path


def study_of(task: str) -> Study:
    """A study of patients; for another task one of a market, but for what no row is made of."""
    study = load_study("nafld_death")
    if task == "risk":
        return study
    market = {"name": f"toy_{task}", "domain": "market", "records": config(LABELS[task])}
    return study.model_copy(update=market)


def told(spec: Study, names: list[str]) -> None:
    """A crosswalk of the subjects 1, 2.. in this order."""
    subjects = list(range(1, len(names) + 1))
    write_crosswalk(
        spec.name, pl.DataFrame({"subject_id": subjects, "source_id": names}), settings()
    )


def rows_of(
    spec: Study, home: Path, sectors: list[str | None] | None = None, *, said: bool = False
) -> pl.DataFrame:
    """The rows of four scored subjects, as score_subjects and build_sequences leave them."""
    scores = PREDICTIONS_OF[load_domain(spec.domain).task(spec.records)[0]]().drop("task", *NAMES)
    scores = scores.with_columns(pl.lit(0.5).alias("score_raw"))
    if sectors is not None:
        scores = scores.with_columns(sector=pl.Series(sectors, dtype=pl.String))
    # In no order of the subjects: names are joined by the subject, not by the place.
    scores.reverse().write_parquet(home / "scores.parquet")
    (home / "facts.json").write_text(json.dumps({"is_point_in_time": said}))
    return _rows(spec, home, home)


@pytest.mark.parametrize("task", LABELS)
def test_an_instrument_is_published_under_its_name_and_sector(home: Path, task: str) -> None:
    spec = study_of(task)
    told(spec, ["AAA", "BBB", "CCC", "DDD", "EEE"])

    rows = rows_of(spec, home, ["energy", None, "energy", "utilities"])

    assert rows.columns == list(COLUMNS)
    assert rows.select("subject_id", *NAMES).rows() == [
        (4, "DDD", "utilities"),
        (3, "CCC", "energy"),
        (2, "BBB", "unknown"),
        (1, "AAA", "energy"),
    ]
    published = publication(1, of=recorded_release_of(task))
    assert published_rows(published, rows).height == 4


def test_scores_without_a_sector_are_of_an_unknown_group(home: Path) -> None:
    spec = study_of("volatility")
    told(spec, ["AAA", "BBB", "CCC", "DDD"])

    assert rows_of(spec, home)["instrument_group"].to_list() == ["unknown"] * 4


def test_an_instrument_that_the_crosswalk_does_not_know_closes_the_gate(home: Path) -> None:
    spec = study_of("volatility")
    told(spec, ["AAA", "BBB", "CCC"])
    rows = rows_of(spec, home)

    with pytest.raises(PublicationGateClosed, match="1 of 4 rows break: instrument is known"):
        published_rows(publication(1, of=recorded_release_of("volatility")), rows)


def test_instruments_without_a_crosswalk_are_not_published_nameless(home: Path) -> None:
    with pytest.raises(SourceMissing, match="no crosswalk"):
        rows_of(study_of("volatility"), home)


def test_no_source_id_of_a_patient_is_published_even_if_scores_hold_a_sector(home: Path) -> None:
    spec = study_of("risk")
    told(spec, ["P17", "P18", "P19", "P20"])

    rows = rows_of(spec, home, ["P17"] * 4)

    assert rows.select(NAMES).null_count().row(0) == (4, 4)
    assert "P17" not in rows.write_csv()
    assert published_rows(publication(1, of=recorded_release_of("risk")), rows).height == 4


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("task", ["risk", "quantiles"])
def test_point_in_time_is_what_the_scored_sequences_say_whatever_the_study_says_today(
    home: Path, task: str, said: bool
) -> None:
    spec = study_of(task)
    told(spec, ["AAA", "BBB", "CCC", "DDD"])

    assert rows_of(spec, home, said=said)["is_point_in_time"].to_list() == [said] * 4
