"""The report on paper: whole, the same bytes, nothing asked for, a remedy where it cannot be."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator

import pypdfium2 as pdfium
import pytest

from tests.validation.forecast_report_samples import forecast_evidence
from tests.validation.report_samples import closed_evidence, model_evidence, prediction_evidence
from validation.report import pdf
from validation.report.pdf import ForeignAddress, PdfUnavailable, drawing_style, render_pdf
from validation.report.render import render_prediction_report, render_report

A4 = (595.3, 841.9)


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(closed_evidence(), previous=model_evidence())


@pytest.fixture(scope="module")
def printed(html: str) -> bytes:
    return render_pdf(html)


def sheets(printed: bytes) -> Iterator[tuple[str, tuple[float, float], list[float]]]:
    """Text, size, and the right end of every piece of text of each sheet."""
    document = pdfium.PdfDocument(printed)
    for page in document:
        text = page.get_textpage()
        ends = [text.get_rect(index)[2] for index in range(text.count_rects())]
        yield text.get_text_bounded(), page.get_size(), ends


def test_the_verdict_the_lines_and_what_changed_stand_on_the_first_sheet(printed: bytes) -> None:
    first, size, _ = next(sheets(printed))
    assert size == pytest.approx(A4, abs=0.5)
    for words in (
        "Failed",
        "nobody is asked",
        "The verdict of the last audit was pass",
        "Discriminates on subjects it never saw",
        "What this audit cannot tell",
    ):
        assert words in " ".join(first.split()), words


def test_nothing_leaves_the_sheet_and_no_section_is_lost(printed: bytes) -> None:
    found = list(sheets(printed))
    assert 8 <= len(found) <= 20
    whole = " ".join(" ".join(text for text, *_ in found).split())
    for heading in ("Data and exclusions", "Monitoring plan", "Evidence index"):
        assert heading in whole
    for _, (width, _), ends in found:
        assert max(ends) < width - 20
    assert all(len(text) > 20 for text, *_ in found)


def test_a_market_report_and_one_of_predictions_print_too() -> None:
    for page in (
        render_report(forecast_evidence("quantiles")),
        render_prediction_report(prediction_evidence()),
    ):
        found = list(sheets(render_pdf(page)))
        assert all(max(ends) < size[0] - 20 for _, size, ends in found)


def test_drawings_keep_their_colours(html: str) -> None:
    style = drawing_style()
    assert "var(" not in style
    assert ".whisker { stroke: #0060a0" in style
    plain = html.replace('<svg viewBox="0 0 760', '<svg class="x" viewBox="0 0 760')
    assert pdf._with_drawing_styles(plain).count(style) == html.count("<svg")


def test_the_same_page_gives_the_same_bytes_in_another_process(html: str, printed: bytes) -> None:
    program = (
        "import sys, hashlib\n"
        "from validation.report.pdf import render_pdf\n"
        "print(hashlib.sha256(render_pdf(sys.stdin.read())).hexdigest())\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], input=html, check=True, capture_output=True, text=True
    )
    assert other.stdout.strip() == hashlib.sha256(printed).hexdigest()


@pytest.mark.parametrize(
    "foreign",
    [
        "<img src='http://192.0.2.1/x.png'>",
        "<img src='file:///etc/hostname'>",
        "<link rel=stylesheet href='http://192.0.2.1/x.css'>",
        "<svg><image href='http://192.0.2.1/x.png' width='9' height='9'/></svg>",
    ],
)
def test_a_page_that_asks_for_anything_is_not_printed(foreign: str) -> None:
    with pytest.raises(ForeignAddress, match="this page asks for an address"):
        render_pdf(f"<html><body>{foreign}<p>x</body></html>")


def test_without_weasyprint_a_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(PdfUnavailable, match=r"pip install 'equipoise\[pdf\]'"):
        render_pdf("<p>x")


def test_without_pango_the_same_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str) -> None:
        raise OSError(f"cannot load library for {name}")

    monkeypatch.setattr(pdf, "import_module", no_library)
    with pytest.raises(PdfUnavailable, match="libpango"):
        render_pdf("<p>x")
