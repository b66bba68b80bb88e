"""``equipoise tune`` at a terminal."""

from pathlib import Path

from tests.dags.installations import environment, python, study_text, write_studies

TUNE = ("-m", "tests.pipelines.equipoise", "tune")


def test_a_study_that_says_nothing_of_a_tuning_ends_with_its_own_code_and_no_traceback(
    tmp_path: Path,
) -> None:
    studies = write_studies(tmp_path / "studies", plain=study_text(tuning=None))
    code, output, errors = python(*TUNE, "plain", env=environment(tmp_path / "home", studies))
    assert (code, output) == (10, "")
    assert "The study plain says nothing of a tuning." in errors
    assert "Traceback" not in errors


def test_the_help_names_what_a_person_may_choose(tmp_path: Path) -> None:
    code, output, _ = python(*TUNE, "--help", env=environment(tmp_path, tmp_path))
    assert code == 0
    assert "--trials" in output
    assert "--at-once" in output
