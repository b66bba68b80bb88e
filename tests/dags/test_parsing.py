"""Reading the DAG files: light, and no study takes another one down."""

from typing import Any

import pytest

HEAVY = {
    *("torch", "polars", "pandas", "great_expectations", "fairlearn", "sklearn", "duckdb"),
    "exchange_calendars",
}


def test_reading_the_files_imports_nothing_heavy(described: dict[str, Any]) -> None:
    packages = {module.split(".")[0] for module in described["modules"]}
    assert packages & HEAVY == set()
    assert "dags" in packages


def test_a_file_is_read_within_two_seconds(described: dict[str, Any]) -> None:
    assert set(described["seconds"]) == {"dags.training", "dags.approval", "dags.scoring"}
    assert max(described["seconds"].values()) <= 2.0


@pytest.mark.parametrize(
    ("dag_id", "words"),
    [
        ("train__no_yaml", "not readable as YAML"),
        ("approve__no_yaml", "not readable as YAML"),
        ("score__no_yaml", "not readable as YAML"),
        ("train__no_sections", "owner: Field required"),
        ("score__no_sections", "owner: Field required"),
        ("train__no_text", "UnicodeDecodeError"),
        ("train__no_cron", "`every full moon` is no cron expression"),
    ],
)
def test_a_study_that_cannot_be_read_keeps_a_dag_that_fails_daily_and_says_why(
    described: dict[str, Any], dag_id: str, words: str
) -> None:
    dag = described["dags"][dag_id]
    assert list(dag["tasks"]) == ["read_study"]
    assert words in dag["doc"]
    assert dag["schedule"]["cron"] == "0 6 * * *"
    assert "broken" in dag["tags"]


def test_broken_studies_leave_the_sound_ones_whole(described: dict[str, Any]) -> None:
    assert len(described["dags"]["train__both"]["tasks"]) == 10
    for study in ("neither", "market"):
        assert len(described["dags"][f"score__{study}"]["tasks"]) == 11
