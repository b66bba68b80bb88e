"""What decides an audit: the model that stands beside the audited one, and limits before looks."""

from pathlib import Path

import pytest

from pipelines.artefacts import Recipe
from pipelines.limits_order import note_look, register_policy
from pipelines.releases import Release, record_release
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.audit_model import UNREADABLE, recipe_for
from pipelines.study import load_study
from tests.pipelines.publication_examples import approval_of, release

STUDY = "nafld_diabetes"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))


def audit_of(number: int) -> Recipe:
    """The recipe of the audit of a model, as the stage asks for it after noting the look."""
    model, predictions = f"train_model/{number:04d}", predictions_of(number)
    register_policy(load_study(STUDY), predictions)
    note_look(load_study(STUDY), predictions)
    made_of = ("ingest_events/1", "check_events/1", "build_sequences/1")
    return recipe_for(STUDY, *made_of, model, predictions)


def predictions_of(number: int) -> str:
    return _made("predict_holdout", {"model": f"train_model/{number:04d}"})


def released(number: int) -> str:
    """The model stands, on an audit of its predictions: the audit's key."""
    inputs = {"predictions": predictions_of(number), "sequences": "build_sequences/1"}
    audit = _made("audit_model", inputs)
    model = f"train_model/{number:04d}"
    known = release(STUDY, model=model).model_dump(exclude={"release_id", "created_at"})
    approval = approval_of(STUDY, model=model, audit_key=audit)
    record_release(STUDY, Release.of(**known | {"audit_key": audit, "approval": approval}))
    return audit


def _made(stage: str, inputs: dict[str, str]) -> str:
    def write(draft: Path) -> dict[str, int]:
        (draft / "a.json").write_text("{}")
        return {}

    return store().make(Recipe(stage, {}, {}, {}, inputs, {}), write).key


def test_the_release_that_an_audit_leads_to_does_not_change_the_audit() -> None:
    first = audit_of(1)
    assert "incumbent" not in first.inputs
    audit_before = released(1)
    assert audit_of(1).key == first.key
    second = audit_of(2)
    assert second.inputs["incumbent"] == predictions_of(1)
    assert second.inputs["previous_audit"] == audit_before
    released(2)
    assert audit_of(2).key == second.key


def test_another_model_that_stands_makes_another_audit() -> None:
    alone = audit_of(2)
    released(1)
    assert audit_of(2).key != alone.key


def test_an_incumbent_that_cannot_be_read_is_named_and_not_opened() -> None:
    released(1)
    (store().path(predictions_of(1)) / "a.json").unlink()
    recipe = audit_of(2)
    assert recipe.config["incumbent"] == UNREADABLE
    assert "incumbent" not in recipe.inputs
    (store().path(recipe.inputs["previous_audit"]) / "a.json").unlink()
    assert "previous_audit" not in audit_of(2).inputs


def test_the_recipe_names_the_rules_that_the_report_is_measured_against_and_what_computes() -> None:
    recipe = audit_of(1)
    assert "validation/profiles/section_1557.yaml" in recipe.files
    assert {"scikit-learn", "fairlearn", "scipy", "jinja2"} <= set(recipe.libraries)


def test_a_record_of_looks_that_is_lost_makes_another_audit() -> None:
    first = audit_of(1)
    assert first.config["limits_order"]["audits_before"] == 0
    for file in (settings().home / "looks").glob("0*.json"):
        file.unlink()
    again = audit_of(1)
    assert again.config["limits_order"] is None
    assert again.key != first.key
