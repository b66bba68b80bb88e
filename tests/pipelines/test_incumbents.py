"""A new model is compared with the one that stands, and with that one again on every re-run."""

from pathlib import Path

import pytest

from pipelines.artefacts import Recipe
from pipelines.incumbents import Incumbent, incumbent_of
from pipelines.releases import Release, record_release, reinstate_release, withdraw_release
from pipelines.stage import store
from tests.pipelines.publication_examples import STUDY, approval_of, release


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))


def made(stage: str, inputs: dict[str, str]) -> str:
    def write(draft: Path) -> dict[str, int]:
        (draft / "a.json").write_text("{}")
        return {}

    return store().make(Recipe(stage, {}, {}, {}, inputs, {}), write).key


def released(model: str) -> tuple[Release, str]:
    """A model that stands, and the predictions that its audit was made of."""
    predictions = made("predict_holdout", {"model": model})
    audit = made("audit_model", {"predictions": predictions})
    approval = approval_of(model=model, audit_key=audit)
    known = release(model=model).model_dump(exclude={"release_id", "created_at"})
    found = Release.of(**known | {"audit_key": audit, "approval": approval})
    return record_release(STUDY, found), predictions


def test_where_nothing_stands_there_is_nothing_to_compare_with() -> None:
    assert incumbent_of(STUDY, "train_model/0001") is None


def test_another_model_is_compared_with_the_one_that_stands() -> None:
    found, predictions = released("train_model/0001")
    assert incumbent_of(STUDY, "train_model/0002") == Incumbent(
        found.release_id, predictions, found.audit_key
    )


def test_the_first_released_model_audited_again_has_nothing_to_compare_with() -> None:
    released("train_model/0001")
    assert incumbent_of(STUDY, "train_model/0001") is None


def test_a_model_that_was_released_is_still_compared_with_what_it_followed() -> None:
    first, predictions = released("train_model/0001")
    before = incumbent_of(STUDY, "train_model/0002")
    second, _ = released("train_model/0002")
    assert before == incumbent_of(STUDY, "train_model/0002")
    assert before == Incumbent(first.release_id, predictions, first.audit_key)
    # Nor does what people do to that release itself change what its audit compares.
    withdraw_release(STUDY, "drift", "Ada")
    assert incumbent_of(STUDY, "train_model/0002") == before
    reinstate_release(STUDY, second.release_id, "it was no drift", "Ada")
    assert incumbent_of(STUDY, "train_model/0002") == before


def test_an_older_model_is_compared_with_the_newer_one_that_stands() -> None:
    released("train_model/0001")
    second, predictions = released("train_model/0002")
    assert incumbent_of(STUDY, "train_model/0001") == Incumbent(
        second.release_id, predictions, second.audit_key
    )


def test_what_was_withdrawn_is_no_incumbent() -> None:
    released("train_model/0001")
    withdraw_release(STUDY, "drift", "Ada")
    assert incumbent_of(STUDY, "train_model/0002") is None


@pytest.mark.parametrize("lost", ["predict_holdout", "audit_model"])
def test_an_incumbent_whose_predictions_are_gone_still_stands(lost: str) -> None:
    found, predictions = released("train_model/0001")
    key = predictions if lost == "predict_holdout" else found.audit_key
    (store().path(key) / "a.json").unlink()
    if lost == "audit_model":
        (store().path(key) / "manifest.json").unlink()
    audit = found.audit_key if lost == "predict_holdout" else None
    assert incumbent_of(STUDY, "train_model/0002") == Incumbent(found.release_id, None, audit)
