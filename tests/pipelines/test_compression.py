"""A smaller model's artefact names what it was made of, and its audit reads both."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.compression.registry import FORMS, TRAINED
from pipelines.artefacts import Recipe
from pipelines.cli import app
from pipelines.compression import newest_trained, uncompressed_predictions
from pipelines.errors import CompressionImpossible, SourceMissing
from pipelines.explain import TRAIN_STAGES, explain_study, recipe_today
from pipelines.journal import JournalEntry, append_entry
from pipelines.stage import store
from pipelines.stages.audit_model import recipe_for
from pipelines.stages.compress_model import compress_model
from validation.compression import duties

STUDY = "nafld_diabetes"
MADE_OF = ("ingest_events/1", "check_events/1", "build_sequences/1")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))


def made(stage: str, inputs: dict[str, str], config: dict[str, str] | None = None) -> str:
    def write(draft: Path) -> dict[str, int]:
        (draft / "a.json").write_text("{}")
        return {}

    return store().make(Recipe(stage, {}, {}, config or {}, inputs, {}), write).key


def model_and_predictions() -> tuple[str, str]:
    model = made("train_model", {"sequences": MADE_OF[2]})
    return model, made("predict_holdout", {"sequences": MADE_OF[2], "model": model})


def smaller_of(model: str, predictions: str) -> str:
    inputs = {"sequences": MADE_OF[2], "model": model, "predictions": predictions}
    return made("compress_model", inputs, {"form": "onnx_int8"})


def test_the_audit_of_a_smaller_model_reads_the_predictions_before_and_no_other_does() -> None:
    model, predictions = model_and_predictions()
    smaller = smaller_of(model, predictions)
    assert uncompressed_predictions(smaller) == predictions
    assert uncompressed_predictions(model) is None
    own = made("predict_holdout", {"sequences": MADE_OF[2], "model": smaller})
    recipe = recipe_for(STUDY, *MADE_OF, smaller, own)
    assert recipe.inputs["uncompressed"] == predictions
    assert "uncompressed" not in recipe_for(STUDY, *MADE_OF, model, predictions).inputs


def test_a_smaller_model_is_not_made_smaller_and_predictions_must_be_the_models_own() -> None:
    model, predictions = model_and_predictions()
    smaller = smaller_of(model, predictions)
    with pytest.raises(CompressionImpossible, match="smaller form already"):
        compress_model(STUDY, MADE_OF[2], smaller, predictions, "onnx")
    others = made("predict_holdout", {"model": "train_model/another"})
    with pytest.raises(CompressionImpossible, match="were made by train_model/another") as refused:
        compress_model(STUDY, MADE_OF[2], model, others, "onnx")
    assert refused.value.exit_code == 35


def test_the_newest_audit_of_a_trained_model_is_the_one_to_compress() -> None:
    with pytest.raises(SourceMissing, match="no audited model"):
        newest_trained(STUDY)
    model, predictions = model_and_predictions()
    names = ("events", "checks", "sequences")
    for audited in (model, smaller_of(model, predictions)):
        inputs = dict(zip(names, MADE_OF, strict=True))
        key = made("audit_model", inputs | {"model": audited, "predictions": predictions})
        append_entry(JournalEntry(STUDY, "audit_model", key, made=True, seconds=0.0, counts={}))
    assert (newest_trained(STUDY).model, newest_trained(STUDY).predictions) == (model, predictions)


def never_before(recipe: Recipe) -> Recipe:
    """The recipe as if a library had been another one."""
    return replace(recipe, libraries={**recipe.libraries, "polars": "0.0"})


def kept(recipe: Recipe) -> str:
    """An artefact of the recipe, noted in the journal."""

    def write(draft: Path) -> dict[str, int]:
        (draft / "report.json").write_text("{}")
        return {}

    key = store().make(recipe, write).key
    append_entry(JournalEntry(STUDY, recipe.stage, key, made=True, seconds=0.0, counts={}))
    return key


@pytest.mark.parametrize("changed", ["predict_holdout", "audit_model"])
def test_why_a_training_stage_would_run_is_told_by_its_own_last_run_and_no_smaller_models(
    changed: str,
) -> None:
    """An older run of it differs by a library alone; after it a smaller model went through."""
    keys: dict[str, str] = {}
    for stage, needed in TRAIN_STAGES.items():
        recipe = recipe_today(stage, STUDY, [keys[name] for name in needed])
        keys[stage] = kept(never_before(recipe) if stage == changed else recipe)
        if stage == changed:
            break
    model, predictions = keys["train_model"], keys["predict_holdout"]
    smaller = smaller_of(model, predictions)
    own = kept(Recipe("predict_holdout", {}, {}, {}, {"model": smaller}, {}))
    kept(Recipe("audit_model", {}, {}, {}, {"model": smaller, "predictions": own}, {}))
    told = {each.stage: each for each in explain_study(STUDY)}[changed]
    assert told.state == "would run"
    assert told.reason.startswith("libraries.polars changed from 0.0 to ")
    assert ";" not in told.reason


def test_the_newest_report_says_where_it_is_of_a_smaller_model() -> None:
    model, predictions = model_and_predictions()
    smaller = smaller_of(model, predictions)
    for audited in (model, smaller):
        inputs = {"model": audited, "predictions": predictions}
        audit = kept(Recipe("audit_model", {}, {}, {}, inputs, {}))
        told = CliRunner().invoke(app, ["report", STUDY, "--json", "--no-open"])
        assert told.stdout == f"{store().path(audit) / 'report.json'}\n"
        assert (f"smaller form: {smaller}" in told.stderr) == (audited == smaller)


def test_a_form_that_is_none_is_refused_with_the_list_of_those_there_are() -> None:
    told = CliRunner().invoke(app, ["compress", STUDY, "--form", "zip"])
    assert told.exit_code == 2
    for form in FORMS:
        assert form in told.output


def test_both_packages_that_do_not_know_each_other_say_trained_alike() -> None:
    assert duties.TRAINED == TRAINED
