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

from models.config import ModelConfig, Pretraining
from models.estimator import best_device, new_network
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


def main() -> int:
    """Measure split by split, then the means; fail if foreseeing beats no baseline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=Pretraining().epochs)
    parser.add_argument("--only-foreseeing", action="store_true", help="leave the AUROC out")
    asked = parser.parse_args()
    foreseen, areas = [], []
    with tempfile.TemporaryDirectory() as home:
        store, frame = _store_of(asked.study, Path(home))
        arms = _arms(asked.study, asked.epochs)
        use_threads(arms["direct"].threads)
        for seed in range(asked.first_seed, asked.first_seed + asked.splits):
            split, folder = _split(store, frame, seed), Path(home) / str(seed)
            foreseen.append(_foresee(split, seed, arms["pretrained"], folder / "foreseeing"))
            told = _words(foreseen[-1])
            if not asked.only_foreseeing:
                areas.append(_areas(split, seed, arms, folder))
                told += "; AUROC " + _words(areas[-1])
            print(f"seed {seed:2}: {told}", flush=True)
    return _judge(foreseen, areas)


def _arms(study: str, epochs: int) -> dict[str, ModelConfig]:
    """The study's own model section, and that with one thing changed."""
    from pipelines.study import load_study

    config = load_study(study).model
    return {
        "direct": config,
        "pretrained": config.model_copy(update={"pretraining": Pretraining(epochs=epochs)}),
        "hazard": config.model_copy(update={"head": "hazard"}),
    }


def _store_of(study: str, home: Path) -> tuple[SequenceStore, pl.DataFrame]:
    os.environ["EQUIPOISE_HOME"] = str(home)
    os.environ["EQUIPOISE_STUDIES"] = str(STUDIES)
    from pipelines.whole_stages import whole_events, whole_sequences

    folder = home / "artefacts" / whole_sequences(study, whole_events(study))
    return SequenceStore.open(folder), pl.read_parquet(folder / "examples.parquet")


def _split(store: SequenceStore, frame: pl.DataFrame, seed: int) -> SequenceStore:
    """Another draw of the split, with the weights for censoring fitted on its training part."""
    from pipelines.ehr.domain import weights
    from pipelines.splits import GroupedSplit, split_by_cluster

    config = GroupedSplit(train=0.7, validation=0.1, test=0.2, seed=seed)
    parts = split_by_cluster(store.cluster, config)
    return replace(store, split=parts, weight=weights(frame, parts == 0))


def _foresee(
    store: SequenceStore, seed: int, config: ModelConfig, folder: Path
) -> dict[str, float]:
    """Log-losses of the next set of codes on the test part, the encoder's first."""
    part, test = part_of("released", store.split), np.flatnonzero(store.split == TEST)
    torch.manual_seed(seed)
    network = new_network(fit_inputs(store, part.train, config.max_steps), config, 1)
    network = network.to(best_device())
    foresight = pretrain(
        network, store, part, config, seed=seed, checkpoints=folder, fingerprint=str(seed)
    )
    if foresight is None:
        raise RuntimeError("the model section names no pre-training")
    goal = NextSteps.of(store, "next_events")
    ours = mean_foreseen(network, foresight, goal, store, test, config)
    return {"encoder": ours} | _baselines(store, part.train, test)


def _areas(
    store: SequenceStore, seed: int, arms: dict[str, ModelConfig], folder: Path
) -> dict[str, float]:
    """The AUROC of each arm on the test part."""
    part = part_of("released", store.split)
    judged, found = known(store, np.flatnonzero(store.split == TEST)), {}
    for name, config in arms.items():
        scaler = fit_inputs(store, part.train, config.max_steps)
        job = NetworkJob(name, seed, part, scaler, folder / name, str(seed))
        standing = train_network(store, job, config, _silent)
        standing.network.load_state_dict(standing.best)
        raw = predict_raw(standing.network, store, judged, config.max_steps, best_device())
        weight = store.weight[judged]
        found[name] = float(roc_auc_score(store.label[judged], raw[:, 0], sample_weight=weight))
    return found


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
    print(f"\n{len(foreseen)} splits, torch {torch.__version__}; mean (95 % interval over splits)")
    ours = np.array([one["encoder"] for one in foreseen])
    print("log-loss of the next step's set of codes, nats per step")
    print(f"  encoder               {_interval(ours)}")
    beaten = True
    for name in list(foreseen[0])[1:]:
        theirs = np.array([one[name] for one in foreseen])
        beaten = beaten and bool((ours < theirs).all())
        print(f"  {name:22}{_interval(theirs)}; encoder less by {_interval(theirs - ours)}")
    if areas:
        print("AUROC of the outcome")
        direct = np.array([one["direct"] for one in areas])
        for name in areas[0]:
            found = np.array([one[name] for one in areas])
            more = (
                ""
                if name == "direct"
                else f"; more than direct by {_interval(found - direct, '+')}"
            )
            print(f"  {name:22}{_interval(found)}{more}")
    print(f"every baseline beaten on every split: {'yes' if beaten else 'NO'}")
    return 0 if beaten else 1


def _interval(values: Floats, sign: str = "") -> str:
    """Mean and Student's interval; `sign` is "+" for a difference."""
    mean, form = values.mean(), f"{sign}.4f"
    if len(values) < 2:
        return f"{mean:{form}}"
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean:{form}} ({mean - half:{form}} to {mean + half:{form}})"


def _words(row: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in row.items())


if __name__ == "__main__":
    sys.exit(main())
