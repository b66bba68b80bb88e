"""A policy with a typo is refused whole, with its place, by exit code 10; it is never half-read."""

import sys
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.errors import StudyInvalid
from pipelines.study import load_study

WORKING = (Path(__file__).parents[2] / "studies" / "nafld_diabetes.yaml").read_text()
CANNOT_LOSE = "against: best_challenger, at_least: -0.02"
# What is written instead of what, and the place or word by which the refusal names it.
TYPOS = [
    ("at_least: 0.65", "at_leest: 0.65", "audit.gating.0.at_leest"),
    ("at_least: 0.65", "at_least: 0,65", "audit.gating.0"),
    ("at_least: 0.65", "at_least: .nan", "audit.gating.0.at_least"),
    ("at_least: 0.65", "at_least: .inf", "audit.gating.0.at_least"),
    ("at_least: 0.65", "at_least: high", "audit.gating.0.at_least"),
    ("at_least: 0.65", "at_least: 0.65, at_most: 1.0", "Discriminates on subjects"),
    ("at_least: 0.65", "", "Discriminates on subjects"),
    ("metric: auroc, on: holdout", "metric: auorc, on: holdout", "audit.gating.0.metric"),
    ("metric: auroc, on: holdout", "metric: auroc, on: holdowt", "audit.gating.0.on"),
    ("metric: tpr", "metric: accuracy", "audit.gating.3.metric"),
    ("group: sex, between: [-0.20, 0.20]", "group: sax, between: [-0.20, 0.20]", "sax"),
    ("between: [-0.20, 0.20]", "between: [0.20, -0.20]", "Cases found, women against men"),
    ("between: [-0.20, 0.20]", "between: [-0.20]", "audit.gating.3.between"),
    (CANNOT_LOSE, "at_least: 0.02", "best_challenger"),
    (CANNOT_LOSE, "against: best_challanger, at_least: -0.02", "Not worse than the best simple"),
    (CANNOT_LOSE, "against: best_challenger, at_least: 0.02", "Not worse than the best simple"),
    ("  gating:", "  gatings:", "audit.gatings"),
    ("minimum_positives: 50", "minimum_positives: 5", "audit.minimum_positives"),
    ("  threshold: 0.10", "  threshold: 10", "audit.threshold"),
    ("  threshold: 0.10", "  minimum_cell_subjects: 5\n  threshold: 0.10", "minimum_cell_subjects"),
    ("  threshold: 0.10", "  skip_gate: true\n  threshold: 0.10", "audit.skip_gate"),
    (
        "  threshold: 0.10",
        "  approval: {when_cannot_tell: release}\n  threshold: 0.10",
        "audit.approval.when_cannot_tell",
    ),
    (
        "  threshold: 0.10",
        "  approval: {narrow_fail_share: 5}\n  threshold: 0.10",
        "audit.approval.narrow_fail_share",
    ),
    ("crossings: [[sex, age_band]]", "crossings: [[sex, age_bnad]]", "age_bnad"),
]


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("right", "wrong", "place"), TYPOS)
def test_a_typo_in_the_policy_is_refused_with_its_place(
    right: str, wrong: str, place: str, studies: Path
) -> None:
    assert right in WORKING
    (studies / "typo.yaml").write_text(WORKING.replace(right, wrong, 1))
    with pytest.raises(StudyInvalid) as refused:
        load_study("typo")
    assert place in refused.value.cause
    assert refused.value.where.endswith("typo.yaml")
    assert refused.value.exit_code == 10


def test_the_command_line_ends_with_10_and_makes_nothing(
    studies: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (studies / "typo.yaml").write_text(WORKING.replace("metric: tpr", "metric: tprr", 1))
    monkeypatch.setattr(sys, "argv", ["equipoise", "run", "typo"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 10
    assert "audit.gating.3.metric" in said.err + said.out
    assert "Traceback" not in said.err
    assert not list((studies / "home").rglob("manifest.json"))
