"""A study's mitigation from its artefacts: nothing when off, the twin's scores when trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.errors import ArtefactCorrupt, StudyInvalid
from pipelines.manifests import hash_file
from pipelines.mitigation_evidence import TABLE, mitigated, write_table
from pipelines.performance import Performance, performance_of
from pipelines.stages.audit_predictions import _decided
from pipelines.stages.score_subjects import _with_thresholds
from pipelines.study import Study, load_study
from pipelines.training_mitigation import TWIN, group_numbers, training_mitigation
from tests.pipelines.publication_examples import recorded_release_of
from tests.validation.audit_examples import CHALLENGERS
from tests.validation.test_mitigation import POLICY, made, table_of, unfair
from validation.audit import audit_predictions_table
from validation.evidence import dump_evidence
from validation.mitigation.config import MitigationConfig

STUDIES = Path(__file__).parents[2] / "studies"
BOOSTING = "hist_gradient_boosting"
THRESHOLDS = {"attribute": "sex", "group_thresholds": {"constraint": "true_positive_rate_parity"}}
REWEIGHING = {"attribute": "sex", "reweighing": True}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(STUDIES))


def study(section: dict[str, Any] | None) -> Study:
    mitigation = None if section is None else MitigationConfig.model_validate(section)
    told = {"audit": POLICY, "mitigation": mitigation}
    return load_study("nafld_death").model_copy(update=told)


def found_of(frame: pl.DataFrame) -> Performance:
    return Performance(audit_predictions_table(frame, POLICY, challengers=CHALLENGERS))


def test_off_it_changes_nothing(tmp_path: Path) -> None:
    frame = unfair(2000)
    found = found_of(frame)
    done = mitigated(study(None), tmp_path, frame, found)
    assert done.found is found
    assert done.predictions is frame
    assert done.evidence is None
    write_table(done.evidence, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert training_mitigation(None) is None


def with_seeds(frame: pl.DataFrame) -> pl.DataFrame:
    """An ensemble of two that agree, and the third simple model that every study has."""
    names = ("logistic_regression", "logistic_regression_cross_fitted")
    boosting = [pl.col(n).alias(n.replace("logistic_regression", BOOSTING)) for n in names]
    return frame.with_columns(*boosting, score_seed_0="score", score_seed_1="score")


def test_an_ensemble_is_judged_by_each_groups_threshold(tmp_path: Path) -> None:
    frame = with_seeds(unfair(8000))
    found = performance_of(study(THRESHOLDS), frame)
    done = mitigated(study(THRESHOLDS), tmp_path, frame, found)
    assert done.found.reason is None
    assert done.evidence is not None
    assert done.evidence.table == table_of(frame)
    before, after = (
        next(g for g in each.populations[1].gaps if (g.metric, g.level) == ("tpr", "male"))
        for each in (found, done.found)
    )
    assert abs(after.estimate.value or 0) < 0.5 * abs(before.estimate.value or 0)
    men = done.predictions.filter(sex="male")["threshold"].unique().to_list()
    assert len(men) == 1
    assert men[0] < 0.2


def test_what_the_decisions_show_is_remembered_and_weighed_against_what_was_shown_before(
    tmp_path: Path,
) -> None:
    frame = with_seeds(unfair(3000))
    found = performance_of(study(THRESHOLDS), frame, (), "train_model/1 at 0.2")
    done = mitigated(study(THRESHOLDS), tmp_path, frame, found, (), "train_model/1 at 0.2")
    plain, decided = done.found.memories
    assert plain.scored_by == "train_model/1 at 0.2"
    assert decided.scored_by.startswith("train_model/1 at 0.2, by sex ")
    # An earlier audit showed the same people but for three women who were healthy: as decided
    # too, who they are must not follow.
    healthy = (pl.col("sex") == "female") & (pl.col("label") == 0) & (pl.col("split") == "test")
    gone = frame.filter(healthy).head(3)["subject_id"]
    less = frame.filter(~pl.col("subject_id").is_in(gone.implode()))
    before = performance_of(study(THRESHOLDS), less, (), "train_model/1 at 0.2").memories
    again = mitigated(study(THRESHOLDS), tmp_path, frame, found, before, "train_model/1 at 0.2")
    hidden = set(again.found.memories[1].hidden_keys) - set(decided.hidden_keys)
    assert any(key[3] == "female" for key in hidden)


def test_a_trained_mitigation_is_compared_with_its_twin(tmp_path: Path) -> None:
    frame = with_seeds(unfair(3000))
    (tmp_path / TWIN).mkdir()
    for name in ("score", "score_cross_fitted"):
        np.save(tmp_path / TWIN / f"{name}.npy", frame[name].to_numpy() ** 2)
    done = mitigated(study(REWEIGHING), tmp_path, frame, found_of(frame))
    assert done.evidence is not None
    measured = done.evidence.populations[0].measured
    [brier] = [e for e in measured if (e.metric, e.attribute) == ("brier", "overall")]
    test = frame.filter((pl.col("split") == "test") & (pl.col("weight") > 0))
    y, w, s = (test[c].cast(pl.Float64).to_numpy() for c in ("label", "weight", "score"))
    assert brier.before.value == pytest.approx(float((w * (s**2 - y) ** 2).sum() / w.sum()))
    assert brier.after.value == pytest.approx(float((w * (s - y) ** 2).sum() / w.sum()))
    assert done.predictions is frame


def test_without_the_twins_scores_there_is_no_audit(tmp_path: Path) -> None:
    frame = unfair(1000)
    done = mitigated(study(REWEIGHING), tmp_path, frame, found_of(frame))
    assert "trained without the mitigation has no score" in (done.found.reason or "")


def test_the_groups_of_a_training_are_numbered_by_name() -> None:
    assert group_numbers(pl.Series(["male", None, "female", "male"])).tolist() == [2, 0, 1, 2]


# ---- scoring ------------------------------------------------------------------------------------


def test_scoring_decides_by_the_released_table_and_by_no_other(tmp_path: Path) -> None:
    frame = unfair(2000)
    table = table_of(frame)
    told = made(frame, table)
    dump_evidence(told, tmp_path / "evidence.json")
    write_table(told.mitigation, tmp_path)
    assert json.loads((tmp_path / TABLE).read_text()) == table.model_dump(mode="json")
    people = pl.DataFrame({"sex": ["male", "female", None, "other"]})
    release = recorded_release_of("risk")
    with pytest.raises(ArtefactCorrupt, match="not the one that was released"):
        _with_thresholds(people, tmp_path, release)
    own = release.model_copy(update={"audit_sha256": hash_file(tmp_path / "evidence.json")})
    limits = {group.level: float(group.threshold) for group in table.groups}
    found = _with_thresholds(people, tmp_path, own)["threshold"].to_list()
    assert found == [limits["male"], limits["female"], 0.2, 0.2]
    with pytest.raises(ArtefactCorrupt, match="sex is known"):
        _with_thresholds(people.drop("sex"), tmp_path, own)


def test_a_generation_is_compared_with_the_decisions_that_were_audited(tmp_path: Path) -> None:
    frame = unfair(2000)
    table = table_of(frame)
    dump_evidence(made(frame, table), tmp_path / "evidence.json")
    release = recorded_release_of("risk")
    with pytest.raises(ArtefactCorrupt, match="not the one that was released"):
        _decided(frame, tmp_path, release)
    own = release.model_copy(update={"audit_sha256": hash_file(tmp_path / "evidence.json")})
    limits = {group.level: float(group.threshold) for group in table.groups}
    decided = _decided(frame, tmp_path, own)
    assert decided["threshold"].to_list() == [limits[sex] for sex in frame["sex"]]
    plain = made(frame, table).model_copy(update={"mitigation": None})
    dump_evidence(plain, tmp_path / "evidence.json")
    same = own.model_copy(update={"audit_sha256": hash_file(tmp_path / "evidence.json")})
    assert _decided(frame, tmp_path, same) is frame


# ---- the study ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "attribute", "words"),
    [("nafld_death", "race", "none of audit.attributes"), ("sp500_direction", "sector", "of risk")],
)
def test_a_study_whose_mitigation_fits_no_audit_is_refused(
    name: str, attribute: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (STUDIES / f"{name}.yaml").read_text()
    section = f"mitigation: {{attribute: {attribute}, reweighing: true}}\n"
    (tmp_path / "own.yaml").write_text(f"{text}\n{section}")
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path))
    with pytest.raises(StudyInvalid, match=words):
        load_study("own")
