"""Which trial is best, by the metric and the constraints, and how sure that is."""

import json
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from models.config import ModelConfig
from pipelines.errors import NoTrialKeepsConstraints, TrainingFailed
from pipelines.stage import store
from pipelines.tuning.outcome import Outcome
from validation.tasks import LOWER_IS_BETTER

CONCLUSION, CHOSEN, TRIALS = "conclusion.json", "chosen_model.yaml", "trials.json"
# Twice the standard error of the difference over folds: less is not more than noise.
STANDARD_ERRORS = 2.0


class Conclusion(BaseModel):
    """What a tuning came to.

    verdict: "kept" if the best trial keeps all constraints, "broken" if none does.
    trials, complete, pruned, failed: how many were begun, and what became of them.
    lead: best minus runner-up, positive where the best is better; its standard error over folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    verdict: Literal["kept", "broken"]
    best: int
    metric: str
    value: float
    spread: float | None
    trials: int
    complete: int
    pruned: int
    failed: int
    broken: tuple[str, ...]
    runner_up: int | None = None
    lead: float | None = None
    lead_standard_error: float | None = None
    words: str


def ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Complete trials, those that keep the constraints first, the best of each kind first."""
    complete = [one for one in outcomes if one.state == "complete"]
    return sorted(complete, key=lambda one: (not one.keeps_constraints, _cost(one), one.number))


def conclude(outcomes: Sequence[Outcome]) -> Conclusion:
    """The best trial: one that breaks a constraint only where none keeps them all.

    Raises:
        TrainingFailed: no trial could be measured.
    """
    order = ranked(outcomes)
    states = [one.state for one in outcomes]
    if not order:
        raise TrainingFailed(
            f"None of {len(states):,} trials could be measured: {states.count('failed'):,} failed, "
            f"{states.count('pruned'):,} were stopped early.",
            where="run_trial",
            remedy="Their trial.json says why; narrow the ranges, or take fewer folds.",
        )
    best, runner_up = order[0], order[1] if len(order) > 1 else None
    lead, error = _lead(best, runner_up)
    broken = tuple(name for name, excess in best.excess.items() if excess > 0)
    return Conclusion(
        verdict="broken" if broken else "kept",
        best=best.number,
        metric=best.metric,
        value=_value(best),
        spread=best.spread,
        trials=len(states),
        complete=states.count("complete"),
        pruned=states.count("pruned"),
        failed=states.count("failed"),
        broken=broken,
        runner_up=runner_up.number if runner_up else None,
        lead=lead,
        lead_standard_error=error,
        words=_words(best, broken, runner_up, lead, error, len(states)),
    )


def write_conclusion(outcomes: Sequence[Outcome], folder: Path) -> Conclusion:
    """Write the verdict, all trials, and the model section to paste into the study."""
    found = conclude(outcomes)
    chosen = next(one for one in outcomes if one.number == found.best)
    section = ModelConfig.model_validate(chosen.config).model_dump(
        mode="json", exclude_defaults=True
    )
    heading = "".join(f"# {line}\n" for line in found.words.splitlines())
    text = heading + yaml.safe_dump({"model": section}, sort_keys=False)
    (folder / CHOSEN).write_text(text)
    (folder / CONCLUSION).write_text(found.model_dump_json(indent=1))
    listed = [one.model_dump(mode="json") for one in outcomes]
    (folder / TRIALS).write_text(json.dumps(listed, indent=1))
    return found


def read_chosen(folder: Path) -> tuple[ModelConfig, Conclusion]:
    """The chosen model section and what was concluded of it, from a `choose_model` artefact."""
    section = yaml.safe_load((folder / CHOSEN).read_text())["model"]
    conclusion = Conclusion.model_validate_json((folder / CONCLUSION).read_text())
    return ModelConfig.model_validate(section), conclusion


def require_kept(study: str, key: str) -> None:
    """A choice among trials none of which is good enough is no success.

    Args:
        key: of a `choose_model` artefact.

    Raises:
        NoTrialKeepsConstraints: even the best breaks a constraint.
    """
    _, conclusion = read_chosen(store().open(key))
    if conclusion.verdict == "broken":
        raise NoTrialKeepsConstraints(
            f"None of {conclusion.trials:,} trials of {study} keeps all constraints; the best "
            f"breaks {' and '.join(conclusion.broken)}.",
            where=f"{key}/{CHOSEN}",
            remedy="Do not paste its section as it is: search further, other parameters, or say "
            "in the study which constraint may give way.",
        )


def read_trials(folder: Path) -> list[Outcome]:
    """All trials of a `choose_model` artefact."""
    return [Outcome.model_validate(one) for one in json.loads((folder / TRIALS).read_text())]


def _value(outcome: Outcome) -> float:
    if outcome.value is None:
        raise ValueError("only a complete trial has a value")
    return outcome.value


def _cost(outcome: Outcome) -> float:
    return _value(outcome) if outcome.metric in LOWER_IS_BETTER else -_value(outcome)


def _lead(best: Outcome, other: Outcome | None) -> tuple[float | None, float | None]:
    """By how much the best is better, paired by fold, and the standard error of that."""
    if other is None or len(best.by_fold) != len(other.by_fold):
        return None, None
    sign = -1.0 if best.metric in LOWER_IS_BETTER else 1.0
    leads = [sign * (a - b) for a, b in zip(best.by_fold, other.by_fold, strict=True)]
    error = stdev(leads) / sqrt(len(leads)) if len(leads) > 1 else None
    return fmean(leads), error


def _words(
    best: Outcome,
    broken: tuple[str, ...],
    runner_up: Outcome | None,
    lead: float | None,
    error: float | None,
    trials: int,
) -> str:
    kept = "keeps all constraints" if best.excess else "is the best; no constraint was set"
    lines = [
        f"Trial {best.number} of {trials:,} {kept}: {best.metric} {_value(best):.4f}."
        if not broken
        else f"NO TRIAL KEEPS ALL CONSTRAINTS. The best of {trials:,}, trial {best.number}, breaks "
        f"{' and '.join(broken)}: {best.metric} {_value(best):.4f}."
    ]
    if runner_up is not None and lead is not None and error is not None:
        told = "more" if lead > STANDARD_ERRORS * error else "not more"
        lines.append(
            f"It leads trial {runner_up.number} by {lead:.4f} (standard error over folds "
            f"{error:.4f}): {told} than noise."
        )
    lines.append(
        "The best of many trials is told too good a number; the holdout judges, and was not used."
    )
    return "\n".join(lines)
