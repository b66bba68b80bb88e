"""One look at the DAG files, shared by the tests of their structure."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dags.installations import (
    AFTER_XNYS,
    environment,
    market_text,
    python,
    study_text,
    write_studies,
)

BROKEN = {
    "no_yaml": "title: [",
    "no_sections": "title: only a title\ndomain: ehr\n",
    "no_cron": study_text(schedule={"train": "every full moon"}),
}


@pytest.fixture(scope="session")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow sees of four sound and four broken studies."""
    home = tmp_path_factory.mktemp("described") / "home"
    studies = write_studies(
        home.parent / "studies",
        both=study_text(schedule={"train": "0 3 * * 0", "score": "30 5 * * *"}),
        neither=study_text(schedule=None),
        market=market_text(AFTER_XNYS),
        raced=study_text(schedule=None, model="auto"),
        **BROKEN,
    )
    (studies / "no_text.yaml").write_bytes(b"title: \xff\xfe\n")
    return describe(home, studies)


def describe(home: Path, studies: Path) -> dict[str, Any]:
    code, output, errors = python("-m", "tests.dags.describe", env=environment(home, studies))
    assert code == 0, errors
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found
