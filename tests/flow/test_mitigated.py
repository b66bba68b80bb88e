"""A study with a threshold for each group, from the records to the table that people read."""

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from pipelines.publication.store import open_store
from pipelines.releases import current_release
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.audit_model import audit_model
from pipelines.stages.audit_predictions import audit_predictions
from pipelines.stages.check_events import check_events
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.predict_holdout import predict_holdout
from pipelines.stages.publish_predictions import publish_predictions
from pipelines.stages.release_model import release_model
from pipelines.stages.train_model import train_model
from pipelines.whole_stages import whole_scores, whole_sequences
from tests.dags.installations import quick_study
from validation.evidence import load_evidence, load_prediction_evidence

STUDY = "mitigated"
AS_OF = "2026-11-22"


@pytest.fixture(autouse=True)
def _installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own."""
    (tmp_path / "studies").mkdir()
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    write_study(seed=0)


def write_study(seed: int) -> None:
    """The quick study, in which men and women have thresholds of their own."""
    raw = yaml.safe_load(quick_study())
    raw["model"] |= {"max_epochs": 3, "seeds": [seed]}
    raw["mitigation"] = {
        "attribute": "sex",
        "group_thresholds": {"constraint": "true_positive_rate_parity"},
        "least_selected_share": 0.1,
    }
    (settings().studies_dir / f"{STUDY}.yaml").write_text(yaml.safe_dump(raw))


def audited(events: str, checks: str) -> tuple[str, str]:
    """The predictions of a model trained now, and their audit."""
    sequences = whole_sequences(STUDY, events)
    model = train_model(STUDY, sequences)
    predictions = predict_holdout(STUDY, sequences, model)
    return predictions, audit_model(STUDY, events, checks, sequences, model, predictions)


def net_benefit(audit: str) -> float:
    """Of the decisions that were audited, on the holdout."""
    holdout = load_evidence(store().open(audit) / "evidence.json").population("holdout")
    assert holdout is not None
    found = holdout.overall.metrics["net_benefit"].value
    assert found is not None
    return found


@pytest.mark.slow
def test_each_row_is_published_and_each_release_compared_as_its_groups_are_decided_on() -> None:
    events = ingest_events(STUDY)
    checks = check_events(STUDY, events)
    predictions, audit = audited(events, checks)
    release_model(STUDY, audit)
    to_score = whole_sequences(STUDY, events, AS_OF)
    scores = whole_scores(STUDY, to_score)
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

    rows = open_store(settings()).read_current(STUDY)
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

    # The next model is compared with this release as each decides, and the report says so.
    write_study(seed=1)
    _, second = audited(events, checks)
    folder = store().open(second)
    found = load_evidence(folder / "evidence.json")
    assert audit in {entry.key for entry in found.lineage}
    assert found.incumbent is not None
    gained = found.incumbent.differences["holdout"]["net_benefit"].value
    assert gained is not None
    own, theirs = (net_benefit(key) for key in (second, audit))
    # Both audits held out the same people, so that the paired difference is that of the two.
    assert gained == pytest.approx(own - theirs)
    said = json.loads((folder / "report.json").read_text())["since_the_last_audit"]
    assert said["words"][0].startswith("The verdict of the last audit was ")
    assert any(change["metric"] == "net_benefit" and change["paired"] for change in said["changes"])
