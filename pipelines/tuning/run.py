"""A whole tuning in one process: for a person at a terminal.

It calls the stages itself and not the DAG as `equipoise run` does: how many trials there are, and
how many run at a time, is a person's to say here, where the DAG has it from the study and the pool.
What either did the other goes on with: they are the same stages on the same plan.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pipelines.stage import store
from pipelines.stages.check_events import check_events
from pipelines.stages.choose_model import choose_model
from pipelines.stages.plan_trials import plan_trials
from pipelines.stages.run_trial import run_trial
from pipelines.study import load_study
from pipelines.training_process import end_trainings
from pipelines.tuning.outcome import Outcome
from pipelines.tuning.section import tuning_of
from pipelines.whole_stages import whole_events, whole_sequences

ENDING_SECONDS = 0.2


def tune_study(study: str, trials: int | None, at_once: int, tell: Callable[[str], None]) -> str:
    """Take in the records, build sequences, run the trials, choose; the key of the choice.

    Args:
        trials: in all, those of earlier runs among them; None for the study's own number.
        at_once: trials that run at a time; each trains in a child process of its own.
        tell: is given a line per trial as it ends.

    Raises:
        StudyInvalid: the study has no section `tuning`.
    """
    numbers = tuning_of(load_study(study)).numbers(trials)
    events = whole_events(study)
    check_events(study, events)
    return tune_sequences(study, whole_sequences(study, events), numbers, at_once, tell)


def tune_sequences(
    study: str, sequences: str, numbers: list[int], at_once: int, tell: Callable[[str], None]
) -> str:
    """The trials of these numbers on sequences that there are; the key of the choice."""
    plan = plan_trials(study, sequences)
    tell(f"{plan}: {len(numbers):,} trials")

    def one(number: int) -> str:
        key = run_trial(study, plan, number)
        tell(said_of(Outcome.read(store().open(key))))
        return key

    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(one, number) for number in numbers]
        try:
            keys = [trial.result() for trial in running]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _end(running)
            raise
    return choose_model(study, plan, keys)


def _end(running: Sequence[Future[str]]) -> None:
    """Interrupt the trials that run: none fails by that, and each can be taken up again."""
    # More than once: a trial may be about to begin a training when the others are ended.
    while not all(trial.done() for trial in running):
        end_trainings()
        time.sleep(ENDING_SECONDS)


def said_of(outcome: Outcome) -> str:
    """One line of one trial."""
    if outcome.value is None:
        return f"trial {outcome.number}: {outcome.state}, {outcome.reason}"
    kept = "" if outcome.keeps_constraints else ", breaks a constraint"
    return f"trial {outcome.number}: {outcome.metric} {outcome.value:.4f}{kept}"
