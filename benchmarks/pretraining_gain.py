"""What an encoder learns by foreseeing the next step, and what a risk study has of it.

On each seed's own grouped 70/10/20 split of the sequences of a study:

1. The log-loss, in nats per step, of the set of codes of the next time step on the test part: by
   the pre-trained encoder; by each code's rate at the next steps of the training part; by those
   rates given the set of the last step, drawn towards the former where a set is rare; and by a
   logistic regression of each code on the last step's.
2. The AUROC of the test part, weighted by the inverse probability of being censored: of one
   network as the study has it, of one that starts from the pre-trained encoder, and of one whose
   head is a hazard. Same split, same seed; differences are paired.

Splits overlap, so the interval of a mean describes these splits and no population.

    python -m benchmarks.pretraining_gain nafld_diabetes --splits 10
"""

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from models.config import Pretraining
from models.estimator import best_device
from models.inputs import fit_inputs
from models.loop import NetworkJob, predict_raw, train_network
from models.networks import use_threads
from models.next_steps import NextSteps
from models.parts import known, part_of
from models.pretraining import mean_foreseen, pretrain
from models.store import TEST, SequenceStore

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

STUDIES = Path(__file__).parents[1] / "studies"
# So many steps of the training part's mean beside those that followed a set of codes.
DRAWN_TOWARDS_THE_MEAN = 10.0
ARMS = ("direct", "pretrained", "hazard")


def main() -> int:
    """Measure split by split, then the means; fail if foreseeing beats no baseline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=Pretraining().epochs)
    asked = parser.parse_args()
    foreseen, areas = [], []
    with tempfile.TemporaryDirectory() as home:
        store, frame = _store_of(asked.study, Path(home))
        for seed in range(asked.first_seed, asked.first_seed + asked.splits):
            split = _split(store, frame, seed)
            losses, found = _measure(split, seed, asked.study, asked.epochs, Path(home))
            print(f"seed {seed:2}: " + _words(losses) + "; AUROC " + _words(found), flush=True)
            foreseen.append(losses)
            areas.append(found)
    return _judge(foreseen, areas)


def _store_of(study: str, home: Path) -> tuple[SequenceStore, pl.DataFrame]:
    os.environ["EQUIPOISE_HOME"] = str(home)
    os.environ["EQUIPOISE_STUDIES"] = str(STUDIES)
    from pipelines.stages.build_sequences import build_sequences
    from pipelines.stages.ingest_events import ingest_events

    folder = home / "artefacts" / build_sequences(study, ingest_events(study))
    return SequenceStore.open(folder), pl.read_parquet(folder / "examples.parquet")


def _split(store: SequenceStore, frame: pl.DataFrame, seed: int) -> SequenceStore:
    """Another draw of the split, with the weights for censoring fitted on its training part."""
    from pipelines.ehr.domain import weights
    from pipelines.splits import GroupedSplit, split_by_cluster

    config = GroupedSplit(train=0.7, validation=0.1, test=0.2, seed=seed)
    parts = split_by_cluster(store.cluster, config)
    return replace(store, split=parts, weight=weights(frame, parts == 0))


def _measure(
    store: SequenceStore, seed: int, study: str, epochs: int, home: Path
) -> tuple[dict[str, float], dict[str, float]]:
    """Log-losses of the next set of codes, and the AUROC of each arm, on the test part."""
    from pipelines.study import load_study

    config = load_study(study).model
    use_threads(config.threads)
    part = part_of("released", store.split)
    ahead = config.model_copy(update={"pretraining": Pretraining(epochs=epochs)})
    arms = {
        "direct": config,
        "pretrained": ahead,
        "hazard": config.model_copy(update={"head": "hazard"}),
    }
    scaler = fit_inputs(store, part.train, config.max_steps)
    test = np.flatnonzero(store.split == TEST)
    judged, areas = known(store, test), {}
    for name, settings in arms.items():
        folder = home / "checkpoints" / str(seed) / name
        job = NetworkJob(name, seed, part, scaler, folder, str(seed))
        standing = train_network(store, job, settings, _silent)
        standing.network.load_state_dict(standing.best)
        raw = predict_raw(standing.network, store, judged, config.max_steps, best_device())
        areas[name] = float(
            roc_auc_score(store.label[judged], raw[:, 0], sample_weight=store.weight[judged])
        )
        if name == "pretrained":
            losses = _baselines(store, part.train, test)
            # Its checkpoint of the last epoch is read again: the training moved the encoder on.
            foresight = pretrain(
                standing.network,
                store,
                part,
                ahead,
                seed=seed,
                checkpoints=folder,
                fingerprint=str(seed),
            )
            if foresight is None:
                raise RuntimeError("nothing was pre-trained")
            goal = NextSteps.of(store, "next_events")
            ours = mean_foreseen(standing.network, foresight, goal, store, test, ahead)
            losses = {"encoder": ours} | losses
    return losses, areas


def _baselines(store: SequenceStore, train: Rows, test: Rows) -> dict[str, float]:
    before, after = _pairs(store, train)
    seen, asked = _pairs(store, test)
    rates = (after.sum(axis=0) + 0.5) / (len(after) + 1.0)  # [C]
    bits = 1 << np.arange(before.shape[1], dtype=np.int64)
    sets, which = np.unique(before @ bits, return_inverse=True)
    times = np.bincount(which)[:, None]
    events = np.zeros((len(sets), before.shape[1]))
    np.add.at(events, which, after)
    told = (events + DRAWN_TOWARDS_THE_MEAN * rates) / (times + DRAWN_TOWARDS_THE_MEAN)
    place = np.searchsorted(sets, seen @ bits).clip(max=len(sets) - 1)
    given = np.where((sets[place] == seen @ bits)[:, None], told[place], rates)
    return {
        "rates": _log_loss(asked, np.broadcast_to(rates, asked.shape)),
        "last_step_rates": _log_loss(asked, given),
        "last_step_logistic": _log_loss(asked, _logistic(before, after, seen, rates)),
    }


def _logistic(before: Rows, after: Rows, seen: Rows, rates: Floats) -> Floats:
    """[N, C] each code's chance by a logistic regression on the codes of the last step."""
    found = np.tile(rates, (len(seen), 1))
    for channel in range(after.shape[1]):
        if len(np.unique(after[:, channel])) == 2:
            model = LogisticRegression(C=10.0, max_iter=500).fit(before, after[:, channel])
            found[:, channel] = model.predict_proba(seen)[:, 1]
    return found


def _pairs(store: SequenceStore, rows: Rows) -> tuple[Rows, Rows]:
    """[N, C] the codes of each step that another follows, and those of the one after."""
    steps = np.zeros((len(store.step_days), len(store.channels)), dtype=np.int64)
    owner = np.repeat(np.arange(len(steps)), np.diff(store.observation_offsets))
    steps[owner, store.observation_channel] = 1
    example = np.repeat(np.arange(len(store)), store.lengths)
    chosen = np.isin(example[:-1], rows) & (example[:-1] == example[1:])
    return steps[:-1][chosen], steps[1:][chosen]


def _log_loss(asked: Rows, chance: Floats) -> float:
    """Nats per step: the cross-entropies of all codes added up."""
    cells = np.where(asked == 1, np.log(chance), np.log1p(-chance))
    return float(-cells.sum(axis=1).mean())


def _silent(network: str, epoch: int, epochs: int, losses: str, validation_loss: float) -> None:
    """Nobody watches a benchmark's epochs."""


def _judge(foreseen: list[dict[str, float]], areas: list[dict[str, float]]) -> int:
    print(f"\n{len(areas)} splits, torch {torch.__version__}; mean (95 % interval over splits)")
    ours = np.array([one["encoder"] for one in foreseen])
    print("log-loss of the next step's set of codes, nats per step")
    print(f"  encoder               {_interval(ours)}")
    beaten = True
    for name in list(foreseen[0])[1:]:
        theirs = np.array([one[name] for one in foreseen])
        beaten = beaten and bool((ours < theirs).all())
        print(f"  {name:22}{_interval(theirs)}; encoder less by {_interval(theirs - ours)}")
    print("AUROC of the outcome")
    direct = np.array([one["direct"] for one in areas])
    for name in ARMS:
        found = np.array([one[name] for one in areas])
        more = "" if name == "direct" else f"; more than direct by {_interval(found - direct)}"
        print(f"  {name:22}{_interval(found)}{more}")
    print(f"every baseline beaten on every split: {'yes' if beaten else 'NO'}")
    return 0 if beaten else 1


def _interval(values: Floats) -> str:
    """Mean and Student's interval."""
    if len(values) < 2:
        return f"{values.mean():+.4f}"
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.4f} ({values.mean() - half:+.4f} to {values.mean() + half:+.4f})"


def _words(row: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in row.items())


if __name__ == "__main__":
    sys.exit(main())
