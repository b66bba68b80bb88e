"""Pages of forecasts are safe, plain and lasting, and those of a generation say what it is."""

import re

import pytest

from tests.validation.forecast_report_samples import (
    TASKS,
    all_pages,
    forecast_evidence,
    forecast_generation,
)
from tests.validation.html_pages import Page
from tests.validation.test_report import HOSTILE, hostile
from validation.estimates import Counts
from validation.evidence import Evidence, GateVerdict, PredictionEvidence
from validation.report.render import render_prediction_report, render_report
from validation.tasks import Task

every_task = pytest.mark.parametrize("task", TASKS)

# ---- a generation of forecasts -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("volatility", "forecasts that are no volatility (missing, or not above 0)"),
        ("quantiles", "forecasts whose quantiles are missing or out of order"),
        ("direction", "scores that are no probability"),
    ],
)
def test_a_generation_of_forecasts_shows_what_was_measured_on_it(task: Task, words: str) -> None:
    evidence = forecast_generation(task)
    assert evidence.gate is not None
    page = Page(render_prediction_report(evidence))
    rows = page.table_with("Measured")
    assert len(rows) == len(evidence.gate.lines)
    assert rows[1] == [words, "all", "0", "at most 0", "✓ pass"]
    assert rows[2][0] == "instruments forecast twice at one time"


def test_a_withheld_generation_of_forecasts_says_why_in_names() -> None:
    evidence = forecast_generation("quantiles")
    assert evidence.gate is not None
    shift = next(line for line in evidence.gate.lines if line.verdict == "fail")
    text = Page(render_prediction_report(evidence)).text
    assert (
        "shift of the scores (population stability index): "
        f"{shift.estimate.value:.3f}, asked for is at most 0.250."
    ) in text
    gate = GateVerdict(verdict="cannot_tell", reasons=("a measurement is there twice",))
    other = Page(render_prediction_report(evidence.model_copy(update={"gate": gate}))).text
    assert "a measurement is there twice" in other


# ---- one safe, plain, lasting file -------------------------------------------------------------


@every_task
def test_hostile_words_are_shown_as_words(task: Task) -> None:
    raw = hostile(forecast_evidence(task, skilled=False).model_dump(mode="json"))
    html = render_report(Evidence.model_validate(raw))
    generation = hostile(forecast_generation(task).model_dump(mode="json"))
    predictions = render_prediction_report(PredictionEvidence.model_validate(generation))
    for each in (html, predictions):
        assert "<script" not in each
        assert "<img" not in each
        assert "&lt;script&gt;" in each
    assert HOSTILE in Page(html).text
    assert {name for name, _ in Page(html).tags} == {
        name for name, _ in Page(render_report(forecast_evidence(task, skilled=False))).tags
    }


@every_task
def test_a_page_asks_the_network_for_nothing_and_stays_small(task: Task) -> None:
    for html in all_pages(task):
        assert not re.search(r"https?:|@import|url\(|javascript:|<script", html)
        assert len(html.encode()) < 250_000


@every_task
def test_headings_tables_and_pictures_can_be_read_aloud(task: Task) -> None:
    for html in all_pages(task):
        page = Page(html)
        levels = [level for level, _ in page.headings]
        assert levels.count(1) == 1
        assert all(a.get("scope") for name, a in page.tags if name == "th")
        for name, attributes in page.tags:
            if name == "svg":
                assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        anchors = {str(a["href"])[1:] for name, a in page.tags if name == "a"}
        assert anchors <= {str(a["id"]) for _, a in page.tags if "id" in a}


def test_a_count_that_was_not_made_is_a_dash_and_not_a_hidden_cell() -> None:
    evidence = forecast_evidence("volatility")
    holdout, walked = evidence.populations
    overall = holdout.overall.model_copy(update={"counts": Counts()})
    uncounted = holdout.model_copy(update={"overall": overall})
    changed = evidence.model_copy(update={"populations": (uncounted, walked)})
    text = Page(render_report(changed)).text
    dash = "\N{EN DASH}"
    assert f"({dash} rows of {dash} instruments in {dash} blocks of time)" in text
