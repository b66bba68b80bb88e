"""A study with a threshold for each group, from the records to the table that people read."""

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from pipelines.publication.reading import read_current
from pipelines.releases import current_release
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.audit_model import audit_model
from pipelines.stages.audit_predictions import audit_predictions
from pipelines.stages.build_sequences import build_scoring_sequences, build_sequences
from pipelines.stages.check_events import check_events
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.predict_holdout import predict_holdout
from pipelines.stages.publish_predictions import publish_predictions
from pipelines.stages.release_model import release_model
from pipelines.stages.score_subjects import score_subjects
from pipelines.stages.train_model import train_model
from tests.dags.installations import quick_study
from validation.evidence import load_evidence, load_prediction_evidence

STUDY = "mitigated"
AS_OF = "2026-11-22"


@pytest.fixture(autouse=True)
def _installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick study, in which men and women have thresholds of their own."""
    studies = tmp_path / "studies"
    studies.mkdir()
    raw = yaml.safe_load(quick_study())
    raw["model"] |= {"max_epochs": 3}
    raw["mitigation"] = {
        "attribute": "sex",
        "group_thresholds": {"constraint": "true_positive_rate_parity"},
        "least_selected_share": 0.1,
    }
    (studies / f"{STUDY}.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(studies))


@pytest.mark.slow
def test_each_row_is_published_with_the_threshold_of_its_group_and_decided_by_it() -> None:
    events = ingest_events(STUDY)
    checks = check_events(STUDY, events)
    sequences = build_sequences(STUDY, events)
    model = train_model(STUDY, sequences)
    predictions = predict_holdout(STUDY, sequences, model)
    audit = audit_model(STUDY, events, checks, sequences, model, predictions)
    release_model(STUDY, audit)
    to_score = build_scoring_sequences(STUDY, events, AS_OF)
    scores = score_subjects(STUDY, to_score)
    generation = audit_predictions(STUDY, to_score, scores)
    publish_predictions(STUDY, checks, scores, generation)

    table = json.loads((store().open(audit) / "thresholds.json").read_text())
    limits = {group["level"]: group["threshold"] for group in table["groups"]}
    assert len(set(limits.values())) == len(limits) == 2
    assert current_release(STUDY).audit_key == audit
    told = load_evidence(store().open(audit) / "evidence.json").mitigation
    assert told is not None
    assert told.table is not None
    assert told.table.model_dump(mode="json") == table

    rows = read_current(STUDY, settings())
    sexes = pl.read_parquet(store().open(scores) / "scores.parquet").select("subject_id", "sex")
    known = rows.join(sexes, on="subject_id", how="left")
    assert known.height == rows.height > 10_000
    of_sex = known["sex"].cast(pl.String).replace_strict(limits, return_dtype=pl.Float64)
    assert known["threshold"].to_list() == of_sex.to_list()
    assert (known["decision"] == (known["score_calibrated"] >= known["threshold"])).all()
    # At the one threshold of the study somebody would have been decided on otherwise.
    assert (known["decision"] != (known["score_calibrated"] >= table["overall"])).any()

    # The generation is compared with the release as both decide.
    measured = load_prediction_evidence(store().open(generation) / "evidence.json").measurements
    changes = {(m.group, m.level): m.value for m in measured if m.name == "selection_rate_change"}
    reference = pl.read_parquet(store().open(predictions) / "predictions.parquet")
    reference = reference.filter(pl.col("split") == "test")
    for sex, limit in limits.items():
        now = known.filter(pl.col("sex").cast(pl.String) == sex)["decision"].mean()
        before = (reference.filter(pl.col("sex").cast(pl.String) == sex)["score"] >= limit).mean()
        assert changes["sex", sex] == pytest.approx(now - before)
