"""What an earlier audit showed of the same people counts; what comes later never does."""

from pathlib import Path

import pytest

from pipelines.artefacts import Recipe
from pipelines.errors import ArtefactCorrupt
from pipelines.limits_order import LEDGER, note_look
from pipelines.settings import settings
from pipelines.shown_before import fingerprints, shown_before, write_memories
from pipelines.stage import store
from pipelines.study import Study, load_study
from validation.disclosure.memory import ShownBefore

FIRST, SECOND, THIRD = (f"predict_holdout/{number:04d}" for number in (1, 2, 3))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study("nafld_diabetes")


def audit(study: Study, predictions: str, *decided: str, code: str = "a") -> str:
    """Note the look and keep an audit, as the stage does; it remembers the predictions' name."""
    note_look(study, predictions)
    config = {"audit": study.audit.model_dump(mode="json"), "words": {"name": study.name}}
    inputs = {"predictions": predictions, "sequences": "build_sequences/1"}

    def write(draft: Path) -> dict[str, int]:
        write_memories([ShownBefore(scored_by=by) for by in (predictions, *decided)], draft)
        return {}

    return store().make(Recipe("audit_model", {"a": code}, {}, config, inputs, {}), write).key


def names(study: Study, predictions: str) -> list[str]:
    return sorted(memory.scored_by for memory in shown_before(study, predictions))


def test_only_what_was_looked_at_before_counts(study: Study) -> None:
    for predictions in (FIRST, SECOND, THIRD):
        audit(study, predictions)
    assert names(study, FIRST) == []
    assert names(study, SECOND) == [FIRST]
    assert names(study, THIRD) == [FIRST, SECOND]


def test_an_audit_made_again_adds_nothing_to_those_after_it(study: Study) -> None:
    audit(study, FIRST)
    before = fingerprints(shown_before(study, SECOND))
    audit(study, SECOND)
    audit(study, FIRST, code="b")
    assert fingerprints(shown_before(study, SECOND)) == before
    assert len(before) == 1


def test_what_a_mitigated_audit_showed_of_the_decisions_counts_too(study: Study) -> None:
    folder = store().path(audit(study, FIRST, f"{FIRST}, by sex"))
    assert [file.stat().st_mode & 0o777 for file in folder.rglob("cells.json")] == [0o600] * 2
    audit(study, SECOND)
    assert names(study, SECOND) == [FIRST, f"{FIRST}, by sex"]


def test_the_same_predictions_under_another_threshold_are_another_audit(study: Study) -> None:
    policy = study.audit.model_copy(update={"threshold": 0.3})
    later = study.model_copy(update={"audit": policy})
    audit(study, FIRST)
    audit(later, FIRST)
    assert names(later, FIRST) == [FIRST]
    assert names(study, FIRST) == []


def test_where_the_record_cannot_tell_every_other_audit_counts(study: Study) -> None:
    for predictions in (FIRST, SECOND):
        audit(study, predictions)
    (settings().home / LEDGER / "000001.json").unlink()
    assert names(study, FIRST) == [SECOND]
    assert names(study, SECOND) == [FIRST]


def test_an_earlier_audit_that_was_altered_stops_the_next_one(study: Study) -> None:
    folder = store().path(audit(study, FIRST))
    file = folder / "cells.json"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(file.read_text().replace("0001", "0009"))
    with pytest.raises(ArtefactCorrupt, match=r"cells\.json"):
        shown_before(study, SECOND)
