"""Whoever reads a report by ear or by keyboard reads all of it: axe, headings, focus, drawings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.axe import audit
from tests.browser.chromium import Tab
from tests.validation.comparison_samples import record as comparison_record
from tests.validation.forecast_report_samples import forecast_evidence, forecast_generation
from tests.validation.report_samples import (
    asking_evidence,
    closed_evidence,
    model_evidence,
    prediction_evidence,
)
from tests.validation.test_mitigation import made, table_of, unfair
from tests.validation.test_patient_harm_words import evidence as harmed_evidence
from validation.evidence import Evidence
from validation.report.comparison_page import render_comparison
from validation.report.render import render_crash_report, render_prediction_report, render_report

pytestmark = pytest.mark.browser

PAGES: dict[str, Callable[[], str]] = {
    "risk": lambda: render_report(asking_evidence(), previous=model_evidence()),
    "risk, closed": lambda: render_report(closed_evidence()),
    "harms to patients": lambda: render_report(harmed_evidence()),
    "mitigation": lambda: render_report(mitigated_evidence()),
    "volatility": lambda: render_report(forecast_evidence("volatility")),
    "quantiles": lambda: render_report(forecast_evidence("quantiles")),
    "predictions": lambda: render_prediction_report(prediction_evidence()),
    "generation": lambda: render_prediction_report(forecast_generation("direction")),
    "crash": lambda: render_crash_report("nafld_diabetes", "audit_model", ValueError()),
    "comparison": lambda: render_comparison(comparison_record()),
}


def mitigated_evidence() -> Evidence:
    frame = unfair(2000)
    return made(frame, table_of(frame))


TAB_KEY = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}


def show(tab: Tab, folder: Path, html: str, width: int = 1280) -> str:
    file = folder / "report.html"
    file.write_text(html, encoding="utf-8")
    tab.size(width, 1000)
    tab.open(file.as_uri())
    return file.as_uri()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious_and_the_page_still_asks_for_nothing(
    tab: Tab, tmp_path: Path, name: str, width: int
) -> None:
    address = show(tab, tmp_path, PAGES[name](), width)
    found = audit(tab)
    assert found.serious == []
    assert found.violations == ()
    assert found.passes > 20
    assert [url for url in tab.requests() if not url.startswith("data:,")] == [address]
    assert tab.evaluate("document.scripts.length") == 0
    assert tab.complaints() == []


def test_axe_would_find_a_picture_without_words_and_pale_letters(tab: Tab, tmp_path: Path) -> None:
    spoilt = render_report(model_evidence()).replace('role="img" aria-label', 'role="img" data-x')
    spoilt = spoilt.replace("--soft: #56616a", "--soft: #c6c6c6")
    show(tab, tmp_path, spoilt)
    assert {rule for rule, *_ in audit(tab).serious} >= {"svg-img-alt", "color-contrast"}


@pytest.mark.parametrize("name", ["risk", "volatility"])
def test_the_tab_key_goes_down_the_page_and_is_seen(tab: Tab, tmp_path: Path, name: str) -> None:
    show(tab, tmp_path, PAGES[name]())
    tops, outlines = [], []
    for _ in range(30):
        tab.call("Input.dispatchKeyEvent", type="keyDown", **TAB_KEY)
        tab.call("Input.dispatchKeyEvent", type="keyUp", **TAB_KEY)
        place = "document.activeElement.getBoundingClientRect().top + window.scrollY"
        tops.append(tab.evaluate(place))
        outlines.append(tab.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
    links = tab.evaluate("document.querySelectorAll('nav a').length")
    main = tops[links:]
    assert tops[:links] == sorted(tops[:links])
    assert main == sorted(main)
    assert set(outlines) != {"none"}


@pytest.mark.parametrize("name", PAGES)
def test_there_is_one_of_each_landmark_and_every_table_and_drawing_is_named(
    tab: Tab, tmp_path: Path, name: str
) -> None:
    show(tab, tmp_path, PAGES[name]())
    assert tab.evaluate("document.querySelectorAll('main').length") == 1
    assert tab.evaluate("document.querySelectorAll('header').length") == 1
    assert tab.evaluate("document.querySelectorAll('h1').length") == 1
    unnamed = "[...document.querySelectorAll('svg[role=img]')].filter(e => !e.ariaLabel).length"
    assert tab.evaluate(unnamed) == 0
    headless = "[...document.querySelectorAll('table')].filter(e => !e.querySelector('th')).length"
    assert tab.evaluate(headless) == 0
