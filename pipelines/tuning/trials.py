"""The trials of one tuning as its workers share them: each begun once, taken up where it was left.

A trial has its number from the plan, not from Optuna: whoever runs trial 7 a second time, because
the first worker was killed, finds the values that were proposed then and goes on from its
checkpoints. What a trial is to try is written down in one line of the journal, whole or not at all.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipelines.tuning.config import Parameters, TuningSection
from pipelines.tuning.space import distributions, pruner_for, quiet, sampler_for
from pipelines.tuning.storage import open_journal

NUMBER, REASON = "number", "reason"
State = Literal["running", "complete", "pruned", "failed"]
_STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Begun:
    """A trial that stands in the journal, by whomever it was begun."""

    number: int
    parameters: Parameters
    state: State
    reason: str | None


class TuningTrials:
    """The journal of one plan, in a folder that outlives killed workers."""

    def __init__(self, folder: Path, plan: str, section: TuningSection, most_steps: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        quiet()
        self._folder, self._section = folder, section
        self._storage = open_journal(folder)
        # Less is better throughout: what is to grow is told with its sign turned.
        self._study = optuna.create_study(
            study_name=plan,
            storage=self._storage,
            load_if_exists=True,
            direction="minimize",
            sampler=RandomSampler(seed=section.seed),
            pruner=pruner_for(section, most_steps),
        )

    def begin(self, number: int) -> Begun:
        """The trial of this number, proposed now if nobody did so before."""
        with self._one_at_a_time():
            if self._find(number) is None:
                self._study.add_trial(
                    create_trial(
                        state=TrialState.RUNNING,
                        params=self._propose(number),
                        distributions=distributions(self._section),
                        user_attrs={NUMBER: number},
                    )
                )
        return self.read(number)

    def numbers(self) -> set[int]:
        """Of the trials that were begun."""
        return {one.user_attrs[NUMBER] for one in self._study.get_trials(deepcopy=False)}

    def read(self, number: int) -> Begun:
        """A trial that was begun."""
        trial = self._require(number)
        reason = trial.user_attrs.get(REASON)
        return Begun(number, dict(trial.params), _STATES[trial.state], reason)

    def report(self, number: int, step: int, loss: float) -> bool:
        """Note a validation loss; whether the trial is to stop. A step noted before stands."""
        trial = self._live(number)
        if step not in self._require(number).intermediate_values:
            trial.report(loss, step)
        return trial.should_prune()

    def reports(self, number: int) -> dict[int, float]:
        """What was reported of a trial, by step."""
        return dict(self._require(number).intermediate_values)

    def complete(self, number: int, cost: float, excess: dict[str, float]) -> None:
        """Note what a trial cost (less is better), and by how much it breaks each constraint."""
        trial = self._live(number)
        noted = self._require(number).constraints
        for name in sorted(excess.keys() - noted.keys()):
            trial.set_constraint(name, excess[name])
        self._study.tell(self._require(number).number, cost)

    def prune(self, number: int, reason: str) -> None:
        """Note that a trial was stopped early, and why."""
        self._live(number).set_user_attr(REASON, reason)
        self._study.tell(self._require(number).number, state=TrialState.PRUNED)

    def fail(self, number: int, reason: str) -> None:
        """Note that a trial could not be measured, and why."""
        self._live(number).set_user_attr(REASON, reason)
        self._study.tell(self._require(number).number, state=TrialState.FAIL)

    def _propose(self, number: int) -> Parameters:
        """What the sampler would try next, given all that is known: asked of a copy in memory.

        Optuna's own `ask` writes an empty trial before it fills it; a worker killed in between
        would leave one that nobody owns.
        """
        copy = optuna.create_study(direction="minimize", sampler=sampler_for(self._section, number))
        copy.add_trials(self._study.get_trials(deepcopy=False))
        proposed: Parameters = copy.ask(fixed_distributions=distributions(self._section)).params
        return proposed

    def _live(self, number: int) -> optuna.Trial:
        study_id = self._storage.get_study_id_from_name(self._study.study_name)
        place = self._require(number).number
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, place)
        return optuna.Trial(self._study, trial_id)

    def _find(self, number: int) -> FrozenTrial | None:
        trials = self._study.get_trials(deepcopy=False)
        return next((one for one in trials if one.user_attrs[NUMBER] == number), None)

    def _require(self, number: int) -> FrozenTrial:
        found = self._find(number)
        if found is None:
            raise LookupError(f"trial {number} was not begun")
        return found

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Two who propose at a time would propose the same."""
        with (self._folder / ".proposing").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
