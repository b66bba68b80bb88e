"""Which trial is best, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest

from models.config import ModelConfig
from pipelines.errors import TrainingFailed
from pipelines.tuning.conclusion import conclude, ranked, read_chosen, read_trials, write_conclusion
from pipelines.tuning.outcome import Outcome
from pipelines.tuning.table import tuning_table


def trial(number: int, by_fold: tuple[float, ...] = (), **changes: Any) -> Outcome:
    section = ModelConfig(hidden_size=8 * number, seeds=(4, 5))
    given = {
        "number": number,
        "trial_id": f"plan trial {number}",
        "state": "complete" if by_fold else "pruned",
        "parameters": {"hidden_size": 8 * number},
        "config": section.model_dump(mode="json"),
        "metric": "auroc",
        "value": sum(by_fold) / len(by_fold) if by_fold else None,
        "spread": 0.1,
        "by_fold": by_fold,
    }
    return Outcome.model_validate(given | changes)


def test_the_best_is_the_highest_that_keeps_the_constraints_though_others_are_higher() -> None:
    trials = [
        trial(1, (0.9, 0.9), excess={"gap": 0.1}, told={"gap": 0.3}),
        trial(2, (0.7, 0.7), excess={"gap": -0.1}, told={"gap": 0.1}),
        trial(3, (0.8, 0.8), excess={"gap": 0.0}, told={"gap": 0.2}),
        trial(4),
        trial(5, state="failed"),
    ]
    found = conclude(trials)
    assert [one.number for one in ranked(trials)] == [3, 2, 1]
    assert (found.best, found.verdict, found.broken) == (3, "kept", ())
    assert (found.trials, found.complete, found.pruned, found.failed) == (5, 3, 1, 1)


def test_where_no_trial_keeps_the_constraints_the_best_is_named_and_the_verdict_says_so() -> None:
    broken = {"gap": 0.1, "observed over expected": 1.0}
    found = conclude([trial(1, (0.6,), excess=broken), trial(2, (0.7,), excess=broken)])
    assert (found.best, found.verdict) == (2, "broken")
    assert found.broken == ("gap", "observed over expected")
    assert found.words.startswith("NO TRIAL KEEPS ALL CONSTRAINTS. The best of 2, trial 2")


def test_of_a_loss_the_lowest_is_best() -> None:
    found = conclude([trial(1, (0.3,), metric="mae"), trial(2, (0.2,), metric="mae")])
    assert found.best == 2
    assert found.lead == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("second", "error", "word"),
    [((0.70, 0.71, 0.69), 0.0, "more"), ((0.60, 0.90, 0.70), 0.1, "not more")],
)
def test_a_lead_is_paired_by_fold_and_held_against_its_own_noise(
    second: tuple[float, ...], error: float, word: str
) -> None:
    first = (0.80, 0.81, 0.79)
    found = conclude([trial(1, first), trial(2, second)])
    assert found.lead == pytest.approx(sum(first) / 3 - sum(second) / 3)
    # Leads .2, -.09, .09: deviation .1464, over the root of 3.
    expected = 0.0 if error == 0.0 else 0.14640 / 3**0.5
    assert found.lead_standard_error == pytest.approx(expected, abs=1e-4)
    assert f": {word} than noise" in found.words


def test_no_measured_trial_is_an_error_that_counts_them() -> None:
    with pytest.raises(TrainingFailed, match=r"None of 2 trials .* 1 failed, 1 were stopped early"):
        conclude([trial(1), trial(2, state="failed")])


def test_the_section_to_paste_is_the_model_that_was_measured(tmp_path: Path) -> None:
    trials = [trial(1, (0.6,)), trial(2, (0.7,))]
    conclusion = write_conclusion(trials, tmp_path)
    section, again = read_chosen(tmp_path)
    assert section == ModelConfig(hidden_size=16, seeds=(4, 5))
    assert again == conclusion
    assert read_trials(tmp_path) == trials
    text = (tmp_path / "chosen_model.yaml").read_text()
    assert text.endswith("model:\n  hidden_size: 16\n  seeds:\n  - 4\n  - 5\n")


def test_the_table_says_value_spread_constraints_and_what_was_tried() -> None:
    trials = [
        trial(1, (0.61, 0.65), excess={"gap": -0.05}, told={"gap": 0.15}),
        trial(2, (0.7, 0.7), excess={"gap": 1.0}, told={"gap": None}),
    ]
    columns, rows = tuning_table(trials, 10)
    assert columns == ["trial", "auroc", "sd over folds", "gap", "hidden_size"]
    assert rows == [
        ["1", "0.6300", "0.1000", "0.150 kept", "8"],
        ["2", "0.7000", "0.1000", "cannot tell: BROKEN", "16"],
    ]
