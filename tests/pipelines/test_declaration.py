"""The report repeats what the study says, and what the model may see."""

import json
from pathlib import Path

import pytest

from pipelines.declaration import declaration_of
from pipelines.study import load_study
from validation.declaration import Declaration


@pytest.mark.parametrize(
    ("study", "horizon"),
    [("nafld_diabetes", "1826 days"), ("sp500_volatility", "5 sessions")],
)
def test_the_study_and_its_sequences_speak(study: str, horizon: str, tmp_path: Path) -> None:
    words = {"channels": [{"code": "hdl"}, {"code": "sbp"}], "statics": ["age_years"]}
    (tmp_path / "sequence.json").write_text(json.dumps(words))
    spec = load_study(study)
    said = declaration_of(spec, tmp_path)
    assert said.inputs == ("hdl", "sbp", "age_years")
    assert (said.owner, said.outcome, said.domain) == (spec.owner, spec.title, spec.domain)
    assert said.horizon == f"{horizon} after the index time"


def test_a_clinical_study_says_whom_it_is_about_and_who_is_censored(tmp_path: Path) -> None:
    said = told("nafld_diabetes", tmp_path)
    assert said.source == "the tables of the package survival"
    assert said.index == (
        "the first enrolment, of whoever is 18 or older then and had no diabetes before"
    )
    assert said.censoring == (
        "whose records end (end of follow up) within the horizon without the outcome; after death "
        "it counts as not having happened"
    )
    # Another hour of scoring is no reason to audit a model again.
    assert said.schedule is None


def test_a_study_of_markets_says_when_it_forecasts_and_what_is_not_known_yet(
    tmp_path: Path,
) -> None:
    spec, said = load_study("sp500_volatility"), told("sp500_volatility", tmp_path)
    assert spec.records.source.exchange in str(said.source)
    assert f"once {spec.records.index.minimum_history_sessions} sessions" in str(said.index)
    assert said.censoring == "while the sessions of the horizon have not all closed"


def told(study: str, folder: Path) -> Declaration:
    (folder / "sequence.json").write_text(json.dumps({"channels": [], "statics": []}))
    return declaration_of(load_study(study), folder)
