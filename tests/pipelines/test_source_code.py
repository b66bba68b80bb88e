"""A stage's version: its own source and all of ours that it imports, and nothing executed."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipelines.source_code import data_hashes, source_hashes

STAGE = "pipelines.stages.build_sequences"


@pytest.mark.parametrize(
    ("stage", "imported", "foreign"),
    [
        ("build_sequences", "pipelines.sequences", "models.network"),
        ("build_sequences", "validation.leakage", "validation.gate"),
        ("audit_model", "validation.gate", "models.network"),
        ("check_events", "validation.suites", "pipelines.sequences"),
    ],
)
def test_a_version_holds_what_a_stage_imports_and_not_what_it_does_not(
    stage: str, imported: str, foreign: str
) -> None:
    hashes = source_hashes(f"pipelines.stages.{stage}")

    assert imported in hashes
    assert foreign not in hashes


def test_what_a_child_process_runs_is_part_of_the_version_when_named() -> None:
    assert "models.network" in source_hashes("pipelines.stages.train_model", "models.training")


def test_hashing_sources_imports_none_of_them() -> None:
    program = (
        "import sys; from pipelines.source_code import source_hashes;"
        "source_hashes('pipelines.stages.audit_model', 'models.training',"
        " 'pipelines.stages.check_events');"
        "print([m for m in ('torch', 'great_expectations', 'polars') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "[]"


def test_templates_count_among_what_decides_a_report() -> None:
    assert any(name.endswith(".html.j2") for name in data_hashes("validation/report"))


def test_stages_in_threads_read_their_sources_at_the_same_time() -> None:
    """As trials that run at a time do; each thread asks for what no cache holds yet."""
    asked = [("models.training", f"pipelines.stages.nothing_{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda modules: source_hashes(*modules), asked))
    assert all(hashes == found[0] for hashes in found)
