"""The whole spine on real records, stage by stage: what is kept, reused, refused and published."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from pipelines.errors import ArtefactCorrupt, GateClosed, NoRelease, PublicationGateClosed
from pipelines.event_store import read_events
from pipelines.explain import explain_study
from pipelines.journal import read_entries
from pipelines.manifests import hash_file
from pipelines.publication.crosswalk import read_crosswalk
from pipelines.publication.store import open_store
from pipelines.releases import current_release, withdraw_release
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.audit_model import audit_model
from pipelines.stages.audit_predictions import audit_predictions
from pipelines.stages.check_events import check_events
from pipelines.stages.predict_holdout import predict_holdout, scores_of
from pipelines.stages.publish_predictions import publish_predictions
from pipelines.stages.release_model import release_model
from pipelines.stages.train_model import train_model
from pipelines.whole_stages import whole_events, whole_scores, whole_sequences
from tests.dags.installations import quick_study
from validation.evidence import load_evidence

STUDY = "quick"


@dataclass(frozen=True)
class Installation:
    """A home of its own with one small study in it."""

    studies: Path

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Write the study anew with an edit; None of the others is remembered."""
        raw = yaml.safe_load(quick_study())
        edit(raw)
        (self.studies / f"{STUDY}.yaml").write_text(yaml.safe_dump(raw))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("spine")
    (folder / "studies").mkdir()
    made = Installation(folder / "studies")
    made.change(lambda raw: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(folder / "home"))
        patch.setenv("EQUIPOISE_STUDIES", str(made.studies))
        yield made


def train() -> str:
    """All stages up to the audit; its key."""
    events = whole_events(STUDY)
    checks = check_events(STUDY, events)
    sequences = whole_sequences(STUDY, events)
    model = train_model(STUDY, sequences)
    predictions = predict_holdout(STUDY, sequences, model)
    return audit_model(STUDY, events, checks, sequences, model, predictions)


def score(as_of: str) -> tuple[str, str, str]:
    """The checks of the events, the scores as of a day, and their audit."""
    events = whole_events(STUDY)
    checks = check_events(STUDY, events)
    sequences = whole_sequences(STUDY, events, as_of)
    scores = whole_scores(STUDY, sequences)
    return checks, scores, audit_predictions(STUDY, sequences, scores)


@pytest.fixture(scope="module")
def released(installation: Installation) -> str:
    """The audit of a released model."""
    audit = train()
    release_model(STUDY, audit)
    return audit


@pytest.fixture(scope="module")
def published(released: str) -> pl.DataFrame:
    publish_predictions(STUDY, *score("2026-11-22"))
    return open_store(settings()).read_current(STUDY)


def test_a_second_run_reuses_everything(released: str) -> None:
    entries = len(list(read_entries(STUDY)))

    assert train() == released
    assert not any(entry.made for entry in list(read_entries(STUDY))[entries:])
    assert {line.state for line in explain_study(STUDY)} == {"would reuse"}


def test_the_table_holds_each_eligible_subject_once_with_all_that_it_rests_on(
    published: pl.DataFrame, released: str
) -> None:
    release = current_release(STUDY)

    assert published["subject_id"].n_unique() == published.height > 10_000
    assert set(published["release_id"]) == {release.release_id}
    assert set(published["model_audit_id"]) == {released}
    assert set(published["split"]) == {"train", "validation", "test"}
    assert published["score_calibrated"].is_between(0, 1).all()
    assert (published["decision"] == (published["score_calibrated"] >= 0.1)).all()


def test_nobody_with_the_outcome_or_dead_by_then_is_scored(published: pl.DataFrame) -> None:
    events = read_events(store().open(current_release(STUDY).events_key))
    over = events.filter(pl.col("code").cast(pl.String).is_in(["diabetes", "death"]))

    assert published.join(over, on="subject_id", how="semi").is_empty()


def test_scoring_as_of_the_index_day_finds_the_cohort_of_training(released: str) -> None:
    """Two routes to one cohort: everybody's index day is day zero, so both must agree."""
    events = whole_events(STUDY)
    scored = store().open(whole_sequences(STUDY, events, "2000-01-01"))
    trained = pl.read_parquet(store().open(whole_sequences(STUDY, events)) / "examples.parquet")
    examples = pl.read_parquet(scored / "examples.parquet")

    # Whoever was a minor at the last event is trained on at 18 and not scored at 17.
    flow = json.loads((scored / "facts.json").read_text())["flow"]
    minors = sum(step["excluded"] for step in flow if step["step"] == "age")
    known = trained.filter(pl.col("sequence_length") > 0)
    both = known.join(examples, on="subject_id", how="inner", suffix="_scored")
    assert both.height == examples.height == known.height - minors
    assert (both["sequence_length"] == both["sequence_length_scored"]).all()
    assert (
        examples["index_time"].max()
        <= pl.Series([date(2000, 1, 1)]).cast(examples["index_time"].dtype).item()
    )


def test_the_way_back_from_a_pseudonym_is_made_again_when_it_is_lost(
    published: pl.DataFrame,
) -> None:
    crosswalk = read_crosswalk(STUDY, settings())
    for file in settings().publication_dir.rglob("crosswalk/*.parquet"):
        file.unlink()
    whole_events(STUDY)

    assert read_crosswalk(STUDY, settings()).equals(crosswalk)
    assert crosswalk.height == 17_549


def test_every_number_of_the_gate_is_recomputed_from_the_named_predictions(released: str) -> None:
    from sklearn.metrics import roc_auc_score

    evidence = load_evidence(store().open(released) / "evidence.json")
    assert evidence.prediction_source is not None
    table = pl.read_parquet(store().open(evidence.prediction_source.key) / "predictions.parquet")
    test = table.filter(pl.col("split") == "test", pl.col("label").is_not_null())
    area = roc_auc_score(test["label"], test["score"], sample_weight=test["weight"])

    holdout = evidence.population("holdout")
    assert holdout is not None
    assert holdout.overall.metrics["auroc"].value == pytest.approx(area, abs=1e-12)


def impossible(raw: dict[str, Any]) -> None:
    raw["audit"]["gating"][0]["at_least"] = 0.999


def test_an_impossible_limit_closes_the_gate_and_leaves_report_release_and_table(
    installation: Installation, published: pl.DataFrame
) -> None:
    release = current_release(STUDY)
    installation.change(impossible)
    audit = train()
    with pytest.raises(GateClosed, match=r"must be at least 0\.999") as closed:
        release_model(STUDY, audit)
    installation.change(lambda raw: None)

    assert closed.value.exit_code == 22
    assert "Failed" in Path(closed.value.where).read_text()
    assert current_release(STUDY) == release
    assert open_store(settings()).read_current(STUDY).equals(published)


def test_evidence_judged_under_another_policy_releases_nothing(
    installation: Installation, released: str
) -> None:
    installation.change(impossible)
    with pytest.raises(GateClosed, match="another policy"):
        release_model(STUDY, released)
    installation.change(lambda raw: None)


def strict(raw: dict[str, Any]) -> None:
    raw["audit"]["predictions"]["max_score_shift_psi"] = 1e-9


def test_a_generation_that_shifted_is_not_published_and_the_one_before_stands(
    installation: Installation, published: pl.DataFrame
) -> None:
    installation.change(strict)
    scored = score("2026-11-22")
    with pytest.raises(PublicationGateClosed, match="score_shift_psi") as closed:
        publish_predictions(STUDY, *scored)
    installation.change(lambda raw: None)

    assert closed.value.exit_code == 23
    assert open_store(settings()).read_current(STUDY).equals(published)


def test_an_audit_of_other_scores_publishes_nothing(published: pl.DataFrame) -> None:
    checks, scores, audit = score("2026-11-22")
    _, other, _ = score("2010-01-01")

    with pytest.raises(PublicationGateClosed, match="of other scores"):
        publish_predictions(STUDY, checks, other, audit)
    # The refusal left no mark on the good audit.
    publish_predictions(STUDY, checks, scores, audit)


def another_threshold(raw: dict[str, Any]) -> None:
    raw["audit"]["threshold"] = 0.6


def another_outcome(raw: dict[str, Any]) -> None:
    raw["ehr"]["outcome"]["codes"] = ["stroke"]


@pytest.mark.parametrize("edit", [another_threshold, another_outcome])
def test_a_study_that_asks_another_question_gets_no_scores_of_the_old_release(
    installation: Installation, published: pl.DataFrame, edit: Callable[[dict[str, Any]], None]
) -> None:
    installation.change(edit)
    with pytest.raises(NoRelease, match="under another"):
        score("2026-11-22")
    installation.change(lambda raw: None)


def test_an_audit_of_predictions_that_another_model_made_is_refused(
    installation: Installation, released: str
) -> None:
    def other_seed(raw: dict[str, Any]) -> None:
        raw["model"] |= {"seeds": [1], "max_epochs": 1}

    keys = store().manifest(released)["recipe"]["inputs"]
    installation.change(other_seed)
    keys["model"] = train_model(STUDY, keys["sequences"])
    with pytest.raises(GateClosed, match="do not belong together"):
        audit_model(STUDY, **keys)
    installation.change(lambda raw: None)


def test_a_model_remade_with_other_bytes_neither_scores_nor_is_released(released: str) -> None:
    model = store().path(store().manifest(released)["recipe"]["inputs"]["model"])
    weights, manifest = model / "seed_0.safetensors", model / "manifest.json"
    before, words = weights.read_bytes(), manifest.read_text()
    weights.write_bytes(before[:-4] + bytes(4))
    manifest.write_text(words.replace(hashlib.sha256(before).hexdigest(), hash_file(weights)))
    try:
        with pytest.raises(ArtefactCorrupt, match="no longer the one that was audited"):
            score("2026-11-22")
        with pytest.raises(GateClosed, match="other bytes than were audited"):
            release_model(STUDY, released)
    finally:
        weights.write_bytes(before)
        manifest.write_text(words)


def test_evidence_edited_after_the_release_stops_scoring_even_under_a_manifest_that_agrees(
    released: str,
) -> None:
    audit = store().path(released)
    evidence, manifest = audit / "evidence.json", audit / "manifest.json"
    before, words = evidence.read_bytes(), manifest.read_text()
    evidence.chmod(0o600)
    evidence.write_bytes(before.replace(b'"fail"', b'"pass"') + b"\n")
    manifest.chmod(0o600)
    manifest.write_text(words.replace(hashlib.sha256(before).hexdigest(), hash_file(evidence)))
    try:
        with pytest.raises(ArtefactCorrupt, match="no longer the one that was judged"):
            score("2026-11-22")
    finally:
        evidence.write_bytes(before)
        manifest.write_text(words)


def test_a_model_that_cannot_score_a_store_says_which_and_what_to_do(
    released: str, tmp_path: Path
) -> None:
    model = store().path(store().manifest(released)["recipe"]["inputs"]["model"])
    with pytest.raises(ArtefactCorrupt, match="cannot be scored by this model") as refused:
        scores_of(tmp_path, model)

    assert str(tmp_path) in refused.value.where


def test_scores_of_events_that_nobody_checked_are_not_published(published: pl.DataFrame) -> None:
    checks, scores, audit = score("2026-11-22")
    folder = store().path(checks)
    unmet = (folder / "checks.json").read_text().replace('"passed": true', '"passed": false', 1)
    words = (folder / "manifest.json").read_text(), (folder / "checks.json").read_text()
    old = hash_file(folder / "checks.json")
    (folder / "checks.json").write_text(unmet)
    (folder / "manifest.json").write_text(words[0].replace(old, hash_file(folder / "checks.json")))
    try:
        with pytest.raises(PublicationGateClosed, match="not met their contract"):
            publish_predictions(STUDY, checks, scores, audit)
    finally:
        (folder / "manifest.json").write_text(words[0])
        (folder / "checks.json").write_text(words[1])


def test_no_value_of_a_subject_reaches_a_log(
    installation: Installation, published: pl.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="pipelines"):
        train()
        score("2005-06-07")
    subjects = {str(subject) for subject in published["subject_id"]}

    assert "made" in caplog.text
    assert not subjects & set(caplog.text.replace(",", " ").split())


def test_after_a_withdrawal_nothing_is_scored_and_nothing_is_read(published: pl.DataFrame) -> None:
    scored = score("2026-11-22")
    withdraw_release(STUDY, "a fault was found", "Ada")
    open_store(settings()).withdraw(STUDY, "a fault was found", "Ada")

    with pytest.raises(NoRelease, match="withdrawn by Ada"):
        score("2026-11-22")
    with pytest.raises(PublicationGateClosed):
        publish_predictions(STUDY, *scored)
    assert open_store(settings()).read_current(STUDY).is_empty()
    assert [listed.state for listed in open_store(settings()).list_generations(STUDY)] == [
        "withdrawn"
    ]
