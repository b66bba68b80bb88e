"""The report in a real browser: it opens from disk, asks for nothing, and prints."""

import re
from pathlib import Path

import pytest

from tests.browser.chromium import Tab
from tests.validation.forecast_report_samples import (
    TASKS,
    forecast_evidence,
    forecast_generation,
)
from tests.validation.report_samples import (
    asking_evidence,
    closed_evidence,
    lineage,
    model_evidence,
    prediction_evidence,
)
from validation.report.render import (
    render_crash_report,
    render_prediction_report,
    render_report,
)

pytestmark = pytest.mark.browser

# The A4 sheet less the margins of the page's own @page rule, in CSS pixels (96 an inch).
SHEET_WIDTH, SHEET_HEIGHT = 688, 1031
PAGES = {
    "report": lambda: render_report(model_evidence()),
    "closed": lambda: render_report(closed_evidence(), previous=model_evidence()),
    "asked": lambda: render_report(asking_evidence(), previous=model_evidence()),
    "predictions": lambda: render_prediction_report(prediction_evidence()),
    "crash": lambda: render_crash_report(
        "nafld_diabetes", "audit_model", ValueError(), lineage("ingest_events")
    ),
    "volatility": lambda: render_report(forecast_evidence("volatility")),
    "quantiles": lambda: render_report(forecast_evidence("quantiles")),
    "direction": lambda: render_report(forecast_evidence("direction", skilled=False)),
    "generation": lambda: render_prediction_report(forecast_generation("direction")),
}


def show(tab: Tab, folder: Path, html: str) -> str:
    file = folder / "report.html"
    file.write_text(html, encoding="utf-8")
    tab.size(1360, 1500)
    tab.open(file.as_uri())
    return file.as_uri()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_from_disk_without_a_complaint_or_a_request(
    tab: Tab, tmp_path: Path, name: str
) -> None:
    address = show(tab, tmp_path, PAGES[name]())
    assert [url for url in tab.requests() if not url.startswith("data:,")] == [address]
    assert tab.complaints() == []
    assert tab.evaluate("document.querySelector('h1').getBoundingClientRect().top") < 120
    assert tab.evaluate("document.scripts.length") == 0


def test_a_foreign_script_or_picture_in_the_page_would_be_refused_and_noticed(
    tab: Tab, tmp_path: Path
) -> None:
    html = render_report(model_evidence())
    foreign = "<script>document.title = 'owned'</script><img src='http://192.0.2.1/x.png'></body>"
    show(tab, tmp_path, html.replace("</body>", foreign))
    assert tab.evaluate("document.title") != "owned"
    assert len(tab.complaints()) == 2


@pytest.mark.parametrize("width", [390, 900, 1200, 1360])
@pytest.mark.parametrize("name", ["report", *TASKS])
def test_nothing_is_wider_than_the_window(tab: Tab, tmp_path: Path, width: int, name: str) -> None:
    show(tab, tmp_path, PAGES[name]())
    tab.size(width, 900)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.screenshot(tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["report", "closed", *TASKS])
def test_verdict_lines_and_what_it_cannot_tell_stand_on_the_first_sheet(
    tab: Tab, tmp_path: Path, name: str
) -> None:
    show(tab, tmp_path, PAGES[name]())
    tab.size(SHEET_WIDTH, SHEET_HEIGHT, media="print")
    bottom = tab.evaluate("document.querySelector('.opening').getBoundingClientRect().bottom")
    assert 300 < bottom < SHEET_HEIGHT
    assert tab.evaluate("document.documentElement.scrollWidth") <= SHEET_WIDTH


def test_where_people_are_asked_the_question_and_every_line_stand_on_the_first_sheet(
    tab: Tab, tmp_path: Path
) -> None:
    show(tab, tmp_path, PAGES["asked"]())
    tab.size(SHEET_WIDTH, SHEET_HEIGHT, media="print")
    bottom = tab.evaluate("document.querySelector('table.lines').getBoundingClientRect().bottom")
    assert 300 < bottom < SHEET_HEIGHT


@pytest.mark.parametrize("name", ["report", *TASKS])
def test_the_report_prints_on_a_few_a4_sheets(tab: Tab, tmp_path: Path, name: str) -> None:
    show(tab, tmp_path, PAGES[name]())
    pdf = tab.print_to_pdf()
    sheets = re.findall(rb"/Type\s*/Page\b(?!s)", pdf)
    assert 8 <= len(sheets) <= 16
    boxes = {tuple(map(float, box.split())) for box in re.findall(rb"/MediaBox\s*\[([^]]+)]", pdf)}
    assert all(box[2:] == pytest.approx((595, 842), abs=1) for box in boxes)
    assert boxes


@pytest.mark.parametrize("name", ["report", *TASKS])
def test_no_label_of_a_chart_is_cut_or_lies_on_a_mark(tab: Tab, tmp_path: Path, name: str) -> None:
    show(tab, tmp_path, PAGES[name]())
    outside = """
        [...document.querySelectorAll('svg[role=img]')].flatMap(svg => {
            const frame = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('text')]
                .map(text => [text.textContent, text.getBoundingClientRect()])
                .filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1)
                .map(([words]) => words);
        })
    """
    assert tab.evaluate(outside) == []
    touching = """
        [...document.querySelectorAll('.pairs svg')].flatMap(svg => {
            const ends = [...svg.querySelectorAll('.whisker, .limit, .blind')]
                .map(mark => mark.getBoundingClientRect().right);
            const start = Math.min(...[...svg.querySelectorAll('.number')]
                .map(text => text.getBoundingClientRect().left));
            return Math.max(...ends) > start ? [svg.getAttribute('aria-label')] : [];
        })
    """
    assert tab.evaluate(touching) == []
