"""Reasons on their way to be published: which rows lose theirs, and what stops none of the rest."""

import json
from pathlib import Path

import polars as pl
import pytest

from pipelines.artefacts import Counts
from pipelines.reason_table import REASONS
from pipelines.stage import recipe_of, run_stage
from pipelines.stages.explain_predictions import _adding_up, _explained
from pipelines.stages.publish_predictions import _reasons
from tests.validation.test_faithfulness import FAITHFUL
from validation.faithfulness import judge_faithfulness
from validation.report.why import SubjectPage, render_subject_page

SCORES = "score_subjects/0123456789abcdef"


@pytest.mark.parametrize("missing", [0.0041, -0.0041, float("nan")])
def test_a_row_that_does_not_add_up_loses_its_reasons_and_is_counted(missing: float) -> None:
    lines = [{"row": row, "rank": rank} for row in (1, 2) for rank in (1, 2, 3)]
    kept, measured = _adding_up(lines, {1: missing, 2: 0.0039}, {"answer_range": 4.0})
    assert {line["row"] for line in kept} == {2}
    assert (measured["not_adding_up"], measured["not_adding_up_share"]) == (1, 0.5)
    assert not judge_faithfulness(FAITHFUL | measured).is_faithful


def test_a_few_rows_that_do_not_add_up_cost_the_others_nothing() -> None:
    missing = dict.fromkeys(range(100), 0.0) | {7: 1.0}
    kept, measured = _adding_up([{"row": row} for row in range(100)], missing, FAITHFUL)
    assert len(kept) == 99
    assert judge_faithfulness(measured).is_faithful


def test_without_a_measured_range_of_answers_nothing_adds_up() -> None:
    assert _adding_up([{"row": 1}], {1: 0.0}, {"answer_range": None})[0] == []


def test_an_unexpected_error_is_named_by_its_class_and_its_page_can_be_read(
    tmp_path: Path,
) -> None:
    inputs = dict.fromkeys(("sequences", "model", "trained_on"), tmp_path / "4711")
    lines, measured = _explained(inputs, pl.DataFrame({"subject_id": [4711]}))
    assert lines == []
    assert measured == {
        "method": "integrated_gradients",
        "impossible": "the explanation met an unexpected FileNotFoundError",
    }
    page = SubjectPage.judged(
        measured, lambda: None, study="demo", task="risk", subject="1", facts=[]
    )
    assert "It could not be measured: the explanation met an" in render_subject_page(page)


@pytest.mark.parametrize(("correlation", "rows"), [(0.4, 1), (0.9, 0)])
def test_reasons_are_judged_anew_when_they_are_published_whatever_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, correlation: float, rows: int
) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))

    def write(draft: Path) -> Counts:
        told = {
            "subject_id": 1,
            "rank": 1,
            "channel": "hdl",
            "days_before": 2.0,
            "contribution": 0.5,
            "method": "integrated_gradients",
        }
        pl.DataFrame([told], schema=REASONS).write_parquet(draft / "reasons.parquet")
        measured = FAITHFUL | {"redrawn_size_correlation": correlation}
        words = {"measured": measured, "verdict": "pass"}
        (draft / "faithfulness.json").write_text(json.dumps(words))
        return {"reasons": 1}

    recipe = recipe_of("explain_predictions", config={}, inputs={"scores": SCORES})
    assert _reasons(SCORES, run_stage("demo", recipe, write).key).height == rows
