"""Without a server: a run that asks, an answer by command, and the run that then publishes."""

import os
from pathlib import Path

import pytest

from tests.dags.installations import ROOT, environment, python, write_studies
from tests.pipelines.approval_examples import asking_study, rows_read

STUDY = "demo"


def test_a_run_ends_awaiting_approval_and_the_one_after_the_approval_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, studies = tmp_path / "home", write_studies(tmp_path / "studies", demo=asking_study())
    monkeypatch.setenv("EQUIPOISE_HOME", str(home))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(studies))
    stages = ROOT / "tests" / "dags" / "approval_stages"
    env = environment(home, studies, toy=False) | {
        "EQUIPOISE_PERSON": "Tess",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(stages)]),
    }

    def equipoise(*arguments: str) -> tuple[int, str, str]:
        return python("-m", "tests.pipelines.equipoise", *arguments, env=env)

    code, output, errors = equipoise("run", STUDY)
    assert code == 25, output + errors
    assert "The audit of demo cannot tell and awaits approval:" in errors
    assert "Ranks well enough: 0.806" in errors
    assert "equipoise approve demo --request " in errors
    assert "not by Tess who trained it" in errors
    assert "Traceback" not in errors
    assert rows_read(STUDY) == 0

    words = ("--reason", "few subjects")
    code, _, errors = equipoise("approve", STUDY, "--as", "tess", *words)
    assert (code, rows_read(STUDY)) == (26, 0)
    assert "tess started the training: another person must approve" in errors
    code, output, _ = equipoise("approve", STUDY, "--as", "Ada", *words)
    assert (code, rows_read(STUDY)) == (0, 0)
    assert "score and publish with it: equipoise run demo" in output

    code, output, errors = equipoise("run", STUDY)
    assert code == 0, output + errors
    assert rows_read(STUDY) == 4
    assert "Ada approved: few subjects" in equipoise("show", STUDY)[1]
