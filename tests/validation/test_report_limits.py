"""Who judged what was chosen by them: told on the first page, line by line."""

import pytest

from tests.validation.report_samples import model_evidence
from validation.evidence import Evidence
from validation.report.limits import cannot_tell
from validation.report.render import render_report

CHOSEN = "by whom the model section was chosen among"


def tuned(trials: int | None, on: str | None = None) -> Evidence:
    """The sample after so many trials; of lines on one population alone."""
    evidence = model_evidence()
    assert evidence.gate is not None
    lines = tuple(line for line in evidence.gate.lines if on in (None, line.on))
    gate = evidence.gate.model_copy(update={"lines": lines})
    return evidence.model_copy(update={"tuning_trials": trials, "gate": gate})


def told(evidence: Evidence) -> list[str]:
    return [said for said in cannot_tell(evidence) if CHOSEN in said]


def test_lines_judged_by_those_who_chose_the_model_are_named_and_those_that_were_not() -> None:
    evidence = tuned(1200)
    (said,) = told(evidence)
    assert evidence.gate is not None
    judged, spared = said.split("Not so")
    for line in evidence.gate.lines:
        assert line.on in ("cross_fitted", "holdout")
        assert (f"“{line.line}”" in judged) == (line.on == "cross_fitted")
        assert (f"“{line.line}”" in spared) == (line.on == "holdout")
    assert "among 1,200 trials." in judged
    assert spared.endswith("judged on the holdout, which had no part in any trial.")
    opening = render_report(evidence).split("<section ")[0]
    assert CHOSEN in opening


def test_without_a_line_on_the_holdout_that_is_said() -> None:
    (said,) = told(tuned(1, "cross_fitted"))
    assert "among 1 trial. No line was judged on the holdout" in said


@pytest.mark.parametrize(("trials", "on"), [(0, None), (None, None), (12, "holdout")])
def test_nobody_is_said_to_have_chosen_where_no_trial_is_known_or_the_holdout_judges(
    trials: int | None, on: str | None
) -> None:
    assert told(tuned(trials, on)) == []


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        (12, "Trials of tunings, comparisons and races in the ledger: 12."),
        (0, "the settings are the study"),
        (None, "cannot be told: the ledger of trials cannot be believed"),
    ],
)
def test_the_settings_are_called_the_study_s_own_only_where_no_trial_is_recorded(
    trials: int | None, words: str
) -> None:
    page = render_report(tuned(trials))
    assert words in page
    assert ("the settings are the study" in page) == (trials == 0)
