"""A tab of a real Chromium for each file of tests."""

from collections.abc import Iterator

import pytest

from tests.browser.chromium import Tab, find_chromium, running


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on the PATH (Debian: apt-get install chromium)")
    with running(path, tmp_path_factory.mktemp("chromium") / "profile") as opened:
        yield opened
