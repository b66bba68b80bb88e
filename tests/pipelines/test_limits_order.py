"""Who looks first and then writes limits is found out by a record that only grows."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.artefacts import Recipe
from pipelines.ledger import Ledger
from pipelines.limits_order import LEDGER, Order, note_look, order_of_limits, register_policy
from pipelines.provenance import policy_sha256
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.study import Study, load_study

FIRST, SECOND = "predict_holdout/0001", "predict_holdout/0002"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study("nafld_diabetes")


def with_threshold(study: Study, threshold: float) -> Study:
    """The study under other limits."""
    audit = study.audit.model_copy(update={"threshold": threshold})
    return study.model_copy(update={"audit": audit})


def another_question(study: Study) -> Study:
    split = study.split.model_copy(update={"seed": 17})
    return study.model_copy(update={"split": split})


def predict(study: Study, key: str) -> None:
    """What predict_holdout does: limits first, then predictions."""
    register_policy(study, key)
    store().path(key).mkdir(parents=True, exist_ok=True)


def entries() -> list[dict[str, object]]:
    return Ledger(settings().home / LEDGER).entries()


def test_limits_that_were_there_first_are_said_to_be(study: Study) -> None:
    predict(study, FIRST)
    note_look(study, FIRST)
    expected = Order(policy_sha256(study), 0, registered_before_predictions=True)
    assert order_of_limits(study, FIRST) == expected


def test_limits_written_after_two_looks_say_so(study: Study) -> None:
    later = with_threshold(study, 0.3)
    for key in (FIRST, SECOND):
        predict(study, key)
        note_look(study, key)
    predict(later, SECOND)
    note_look(later, SECOND)
    assert order_of_limits(later, SECOND) == Order(policy_sha256(later), 2, False)
    # The old limits stay what they were.
    assert order_of_limits(study, SECOND) == Order(policy_sha256(study), 0, True)


def test_a_new_model_under_old_limits_was_limited_before_its_predictions(study: Study) -> None:
    predict(study, FIRST)
    note_look(study, FIRST)
    predict(study, SECOND)
    assert order_of_limits(study, SECOND) == Order(policy_sha256(study), 0, True)


def test_limits_first_seen_by_the_audit_came_after_the_predictions(study: Study) -> None:
    later = with_threshold(study, 0.3)
    predict(study, FIRST)
    note_look(later, FIRST)
    assert order_of_limits(later, FIRST) == Order(policy_sha256(later), 0, False)


def test_the_same_run_again_adds_nothing(study: Study) -> None:
    for _ in range(3):
        predict(study, FIRST)
        note_look(study, FIRST)
    assert [entry["kind"] for entry in entries()] == ["policy", "look"]


def test_a_killed_run_that_made_no_predictions_still_registered_first(study: Study) -> None:
    register_policy(study, FIRST)  # killed here
    predict(study, FIRST)
    found = order_of_limits(study, FIRST)
    assert found is not None
    assert found.registered_before_predictions


def test_looks_at_another_question_do_not_count(study: Study) -> None:
    other = another_question(study)
    predict(other, FIRST)
    note_look(other, FIRST)
    predict(study, SECOND)
    assert order_of_limits(study, SECOND) == Order(policy_sha256(study), 0, True)


def test_a_copy_of_the_study_under_another_name_counts(study: Study) -> None:
    copy = with_threshold(study, 0.3).model_copy(update={"name": "nafld_copy"})
    predict(study, FIRST)
    note_look(study, FIRST)
    predict(copy, SECOND)
    assert order_of_limits(copy, SECOND) == Order(policy_sha256(copy), 1, True)


def test_limits_that_nobody_registered_have_no_order(study: Study) -> None:
    assert order_of_limits(study, FIRST) is None


def keep_audit(study: Study, predictions: str) -> None:
    """An audit as it lies in the store."""
    config = {
        "records": study.records.model_dump(mode="json"),
        "split": study.split.model_dump(mode="json"),
    }
    sequences = made("build_sequences", config, {})
    made("audit_model", {}, {"predictions": predictions, "sequences": sequences})


def made(stage: str, config: dict[str, object], inputs: dict[str, str]) -> str:
    def write(draft: Path) -> dict[str, int]:
        (draft / "a.json").write_text("{}")
        return {}

    return store().make(Recipe(stage, {}, {}, config, inputs, {}), write).key


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)


def cut(folder: Path) -> None:
    (folder / "000002.json").unlink()


def edited(folder: Path) -> None:
    file = folder / "000001.json"
    file.chmod(0o600)
    file.write_text(file.read_text().replace("policy", "gap"))


@pytest.mark.parametrize("damage", [emptied, cut, edited])
def test_a_record_that_was_emptied_or_edited_says_nothing_ever_after(
    study: Study, damage: Callable[[Path], None]
) -> None:
    predict(study, FIRST)
    note_look(study, FIRST)
    keep_audit(study, FIRST)
    damage(settings().home / LEDGER)
    later = with_threshold(study, 0.3)
    for _ in range(2):
        predict(later, FIRST)
        note_look(later, FIRST)
        assert order_of_limits(later, FIRST) is None


def test_audits_of_another_question_are_no_gap(study: Study) -> None:
    keep_audit(another_question(study), SECOND)
    predict(study, FIRST)
    note_look(study, FIRST)
    assert order_of_limits(study, FIRST) is not None
