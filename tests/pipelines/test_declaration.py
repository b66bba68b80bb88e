"""The report repeats what the study says, and what the model may see."""

import json
from pathlib import Path

import pytest

from pipelines.declaration import declaration_of
from pipelines.study import load_study


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
    # Nobody said these, and the report must say that they are missing.
    assert (said.source, said.index, said.censoring) == (None, None, None)
