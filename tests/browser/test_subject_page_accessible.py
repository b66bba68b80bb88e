"""The page of one subject by ear and by keyboard: axe finds nothing, nothing is asked for."""

from pathlib import Path

import pytest

from tests.browser.axe import audit
from tests.browser.chromium import Tab
from tests.browser.test_report_accessible import show
from tests.validation.subject_pages import subject_page
from validation.report.why import render_subject_page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("faithful", [True, False])
def test_axe_finds_nothing_and_the_page_asks_for_nothing(
    tab: Tab, tmp_path: Path, faithful: bool, width: int
) -> None:
    page = subject_page(faithful=faithful, attention=True)
    address = show(tab, tmp_path, render_subject_page(page), width)
    found = audit(tab)
    assert found.violations == ()
    assert found.passes > 20
    assert [url for url in tab.requests() if not url.startswith("data:,")] == [address]
    assert tab.evaluate("document.scripts.length") == 0
    assert tab.complaints() == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
