"""Out-of-sample answers of one model section: `python -m models.cross_validation --help`.

For each fold asked for, the networks of every seed (and, if asked, the challengers) are fitted to
its training rows, stopped and calibrated on its validation rows, and answer its test rows. What is
in no part of a fold is never looked at. The bits are those that models/training.py gives a window
of these rows, and like it this is a child process that may be killed and started again.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.answers import BY_SEED
from models.challengers.fitting import SECONDS_LOG
from models.challengers.registry import CHALLENGERS
from models.challengers.table import Table
from models.checkpoints import write_atomically
from models.config import ModelConfig
from models.cost import Seconds
from models.estimator import Estimator, Model
from models.networks import made_with, use_threads
from models.parts import TrainingImpossible, window_part
from models.processes import exit_code_of, workers
from models.scoring import Scoring
from models.store import TEST, VALIDATION, SequenceStore, SequencesUnusable
from models.training import Fitting, Plan, fitting_processes

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

COST_LOG = "cost_log.json"


@dataclass(frozen=True)
class Question:
    """What is asked of one model section.

    Attributes:
        sequences: a sequence store; its own split and windows are not used.
        windows: a file of int8 [W, E] with each fold's 0 train, 1 validation, 2 test, -1 none.
        folds: numbers of the folds to answer, from 0.
        with_challengers: also what the simple models answer.
    """

    sequences: Path
    windows: Path
    folds: tuple[int, ...]
    with_challengers: bool


def cross_validate(
    question: Question, config: ModelConfig, output: Path, checkpoints: Path, processes: int = 1
) -> None:
    """Write fold_0.npz and so on and cost_log.json to `output`; resume from `checkpoints`.

    A fold's arrays: rows [R] its tested examples; raw [S, R, K] of the config's seeds; score,
    each challenger by name, and seed_0 and so on for the networks alone, [R] as
    models/scoring.py names and calibrates them (of quantiles one per level, such as score_q05).

    Raises:
        SequencesUnusable: `sequences` is no readable store, or `windows` does not belong to it.
        TrainingImpossible: a part lacks a class or labels.
    """
    store = with_windows(SequenceStore.open(question.sequences), question.windows, question.folds)
    use_threads(config.threads)
    output.mkdir(parents=True, exist_ok=True)
    fitted = checkpoints / "fitted"
    fitted.mkdir(parents=True, exist_ok=True)
    plans = [_plan(store, config, fold) for fold in question.folds]
    fitting = Fitting(
        question.sequences,
        config,
        fitted,
        checkpoints,
        with_challengers=question.with_challengers,
    )
    with workers(min(processes, len(plans) * len(config.seeds))) as pool:
        estimators = fitting.fit(plans, pool, tell)
    scoring = Scoring(store, fitting.features, fitted, _words(store, config, estimators))
    cost: dict[str, Any] = {"networks": {}, "challengers": {}, "made_with": made_with()}
    for fold, estimator in zip(question.folds, estimators, strict=True):
        answered = answer_fold(scoring, estimator, fold)
        np.savez(output / f"fold_{fold}.npz", allow_pickle=False, **answered.columns)
        for seed, name in zip(config.seeds, estimator.networks, strict=True):
            told = fitting.log[name]
            cost["networks"][name] = {
                "fold": fold,
                "seed": seed,
                "epochs": len(told["epochs"]),
                "best_epoch": told["best_epoch"],
                **told["cost"],
                "scoring_seconds_per_row": answered.scoring_seconds_per_row["score"],
            }
        cost["challengers"] |= _cost_of_challengers(fitted, estimator, fold, answered)
    write_atomically(output / COST_LOG, json.dumps(cost, indent=1).encode())


def with_windows(store: SequenceStore, windows: Path, folds: Sequence[int]) -> SequenceStore:
    """The store with the folds of a file in the place of its own windows.

    Raises:
        SequencesUnusable: the file is not [W, E] of this store's examples, or lacks a fold.
    """
    try:
        found = np.load(windows, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SequencesUnusable(f"{windows} is not readable") from error
    if found.dtype != np.int8 or found.ndim != 2 or found.shape[1] != len(store):
        raise SequencesUnusable(f"{windows} is not one part of each fold for each example")
    if not folds or min(folds) < 0 or max(folds) >= len(found):
        raise SequencesUnusable(f"{windows} holds {len(found)} folds and not those asked for")
    # Of these windows each row is scored out of sample, whatever the store was made for.
    told = store.resampling if store.resampling != "none" else "cross_fitted"
    return replace(store, windows=found, resampling=told)


@dataclass(frozen=True)
class Answered:
    """One fold's arrays, and the seconds of processor time that a row takes by who answers."""

    columns: dict[str, Any]
    scoring_seconds_per_row: dict[str, float]


def answer_fold(scoring: Scoring, estimator: Estimator, fold: int) -> Answered:
    """The columns of the rows that a fold tests, by all networks together and by each alone."""
    split = scoring.store.windows[fold]
    rows, validation = np.flatnonzero(split == TEST), np.flatnonzero(split == VALIDATION)
    history = np.concatenate([validation, rows])
    raw, seconds = _timed(scoring, estimator, rows)
    columns: dict[str, Any] = {"rows": rows, "raw": raw}
    for name, values in scoring.columns(estimator, rows, history).items():
        if not name.startswith(BY_SEED):
            columns[name] = values
    # Of a network alone only the score is kept, which needs no draws.
    config = scoring.words.config.model_copy(update={"dropout_draws": 0})
    undrawn = replace(scoring, words=replace(scoring.words, config=config))
    for seed, network in zip(config.seeds, estimator.networks, strict=True):
        alone = replace(estimator, networks=(network,), challengers={})
        for name, values in undrawn.columns(alone, rows, history).items():
            if name == "score" or name.startswith("score_q"):
                columns[name.replace("score", f"seed_{seed}", 1)] = values
    return Answered(columns, seconds)


def _timed(scoring: Scoring, estimator: Estimator, rows: Rows) -> tuple[Floats, dict[str, float]]:
    """Raw answers [S, R, K], and the processor's seconds per row: of one network, by `score`."""
    started = Seconds.now()
    raw = scoring.networks(estimator, rows)
    counted = max(1, len(rows))
    seconds = {"score": Seconds.now().since(started).processor / (counted * len(raw))}
    folder, table = scoring.folder / "challengers" / estimator.name, None
    for name in estimator.challengers:
        table = table or Table(scoring.store, scoring.features, rows)
        challenger = CHALLENGERS[scoring.store.task][name].read(folder)
        started = Seconds.now()
        challenger.predict(table)
        seconds[name] = Seconds.now().since(started).processor / counted
    return raw, seconds


def tell(network: str, epoch: int, epochs: int, losses: str, validation_loss: float) -> None:
    """One epoch as a line of JSON, for the process that started this one."""
    words = {
        "network": network,
        "epoch": epoch,
        "epochs": epochs,
        "losses": losses,
        "validation_loss": validation_loss,
    }
    # In one write, which lines of other processes cannot tear; print would write the end apart.
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _plan(store: SequenceStore, config: ModelConfig, fold: int) -> Plan:
    networks = tuple((f"window_{fold}_seed_{seed}", seed) for seed in config.seeds)
    return Plan(window_part(store, fold), networks)


def _words(store: SequenceStore, config: ModelConfig, estimators: list[Estimator]) -> Model:
    """What scoring wants to know of a model; none is released here, so the last stands in."""
    return Model.of(
        store,
        config,
        sequences_sha256="",
        released=estimators[-1],
        windows=tuple(estimators),
        made_with=made_with(),
    )


def _cost_of_challengers(
    fitted: Path, estimator: Estimator, fold: int, answered: Answered
) -> dict[str, Any]:
    if not estimator.challengers:
        return {}
    file = fitted / "challengers" / estimator.name / SECONDS_LOG
    return {
        f"{estimator.name}_{name}": {
            "fold": fold,
            "challenger": name,
            "processor_seconds": seconds,
            "scoring_seconds_per_row": answered.scoring_seconds_per_row[name],
        }
        for name, seconds in json.loads(file.read_text()).items()
    }


def main() -> int:
    """Answer as the command line asks; what goes wrong is told in the last line on stderr."""
    parser = argparse.ArgumentParser(description="Answer each fold's test rows out of sample.")
    parser.add_argument("--sequences", type=Path, required=True, help="a sequence store")
    parser.add_argument("--windows", type=Path, required=True, help="int8 [W, E]: the folds")
    parser.add_argument("--folds", type=int, nargs="+", required=True, help="those to answer")
    parser.add_argument("--config", type=Path, required=True, help="JSON of a ModelConfig")
    parser.add_argument("--output", type=Path, required=True, help="where answers are written")
    parser.add_argument("--checkpoints", type=Path, required=True, help="kept until it is whole")
    parser.add_argument("--processes", type=int, help="networks at a time; as many as fit")
    parser.add_argument("--challengers", action="store_true", help="fit the simple models too")
    told = parser.parse_args()
    config = ModelConfig.model_validate_json(told.config.read_text())
    processes = told.processes or fitting_processes(config.threads)
    question = Question(told.sequences, told.windows, tuple(told.folds), told.challengers)

    def answer() -> None:
        cross_validate(question, config, told.output, told.checkpoints, processes)

    return exit_code_of(answer, (SequencesUnusable, TrainingImpossible))


if __name__ == "__main__":
    sys.exit(main())
