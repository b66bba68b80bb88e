"""PhysioNet 2012: everything chosen by cross-validation on set a, set b opened once.

The answer is a mean of two log odds: of the study's network (its `model` section) and of gradient
boosting on models/features.py. `--choose` shows what the choice is made by: five stratified folds
of set a, each setting named below, and shares of the network in the mean. What is chosen then
stands in the study and in TUNED and NETWORK_SHARE. Without `--choose` both learn from all of set a
and answer set b. That opening is noted in the installation's record of looks
(pipelines/limits_order.py) before anything is measured; a second one is refused.

    EQUIPOISE_DATA=... python -m benchmarks.physionet2012 --choose    # the table on set a
    EQUIPOISE_DATA=... python -m benchmarks.physionet2012             # opens set b
"""

import argparse
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from models.config import ModelConfig
from models.features import build_features
from models.store import TEST, SequenceStore
from pipelines.cross_validation import windows_of
from pipelines.limits_order import looks_before, note_look
from pipelines.out_of_sample import cross_validate
from pipelines.stage import store
from pipelines.stages.build_sequences import build_sequences
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.predict_holdout import predict_holdout
from pipelines.stages.predict_holdout import recipe_for as recipe_of_predictions
from pipelines.stages.train_model import recipe_for as recipe_of_model
from pipelines.stages.train_model import train_model
from pipelines.study import Study, load_study

STUDY = "physionet2012"
AIM_AUROC, AIM_AUPRC = 0.870, 0.545
DRAWS, DRAWN_FROM = 2000, 0
TREE_SEEDS = 5

# Settings of the network to be compared on set a; the study holds the chosen one.
REGULARISED: dict[str, Any] = {"dropout": 0.5, "weight_decay": 0.2, "max_epochs": 16}
NETWORKS: dict[str, dict[str, Any]] = {
    "lstm, as other studies have it": {},
    "lstm, regularised": REGULARISED,
    "attention, regularised": REGULARISED | {"encoder": "attention"},
    "gru, regularised": REGULARISED | {"encoder": "gru"},
    "lstm, regularised, by quantiles": REGULARISED | {"scaling": "quantile"},
}
# Of the network in the mean of log odds, and those that it is chosen from.
NETWORK_SHARE = 0.3
SHARES = (0.0, 0.15, 0.3, 0.5, 0.7, 1.0)
UNTUNED: dict[str, Any] = {"max_leaf_nodes": 4, "min_samples_leaf": 40, "max_iter": 100}
TUNED: dict[str, Any] = {
    "max_leaf_nodes": 8,
    "min_samples_leaf": 20,
    "max_iter": 400,
    "learning_rate": 0.03,
    "max_features": 0.1,
    "l2_regularization": 10.0,
}

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def main() -> int:
    """Print the tables; fail if the aim on set b is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--choose", action="store_true", help="compare settings on set a alone")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    spec = load_study(STUDY)
    sequences = build_sequences(STUDY, ingest_events(STUDY))
    data = Data.open(sequences)
    if asked.choose:
        _choose(spec, sequences, data, asked.processes)
        return 0
    return _open(spec, sequences, data)


@dataclass(frozen=True)
class Data:
    """The examples of a store: features [E, K], label [E], split [E] and the folds [W, E]."""

    features: Floats
    label: Floats
    split: npt.NDArray[np.int8]
    folds: npt.NDArray[np.int8]

    @classmethod
    def open(cls, sequences: str) -> "Data":
        spec, folder = load_study(STUDY), store().path(sequences)
        opened = SequenceStore.open(folder)
        return cls(
            build_features(opened, max_steps=spec.model.max_steps).columns,
            opened.label.astype(np.float64),
            np.asarray(opened.split),
            windows_of(folder, spec.cross_validation),
        )

    def trees(self, learnt: Rows, asked: Rows, options: dict[str, Any]) -> Floats:
        """[R] log odds of the rows ``asked`` by trees fitted to others, averaged over seeds."""
        varying = [len(np.unique(c[~np.isnan(c)])) > 2 for c in self.features[learnt].T]
        columns, answers = self.features[:, varying], []
        for seed in range(TREE_SEEDS if "max_features" in options else 1):
            model = HistGradientBoostingClassifier(random_state=seed, **options)
            model.fit(columns[learnt], self.label[learnt])
            answers.append(model.decision_function(columns[asked]))
        return np.asarray(np.mean(answers, axis=0))


# ---- set a -------------------------------------------------------------------------------------


def _choose(spec: Study, sequences: str, data: Data, processes: int) -> None:
    """Out-of-fold figures on set a, of every setting, and of averages with the tuned trees."""
    answers = {
        "trees, untuned": _trees_by_fold(data, UNTUNED),
        "trees, tuned": _trees_by_fold(data, TUNED),
    }
    rows = np.flatnonzero((data.folds == TEST).any(axis=0))
    for name, answer in answers.items():
        print(f"{name:45} {_words(data.label[rows], answer[rows])}", flush=True)
    for name, options in NETWORKS.items():
        config = ModelConfig(**options)
        found = cross_validate(spec, sequences, config, processes=processes).predictions
        answer = np.full(data.label.size, np.nan)
        answer[found["row"].to_numpy()] = _log_odds(found["score"].to_numpy())
        for share in SHARES[1:]:
            mean = share * answer + (1 - share) * answers["trees, tuned"]
            print(f"{name:38} x {share:4.2f} {_words(data.label[rows], mean[rows])}", flush=True)


def _trees_by_fold(data: Data, options: dict[str, Any]) -> Floats:
    answer = np.full(data.label.size, np.nan)
    for parts in data.folds:
        tested = np.flatnonzero(parts == TEST)
        learnt = np.flatnonzero((parts != TEST) & (parts >= 0))
        answer[tested] = data.trees(learnt, tested, options)
    return answer


# ---- set b -------------------------------------------------------------------------------------


def _open(spec: Study, sequences: str, data: Data) -> int:
    predictions = recipe_of_predictions(STUDY, sequences, recipe_of_model(STUDY, sequences).key).key
    looks = looks_before(spec, predictions)
    if store().path(predictions).exists() or looks is None or looks:
        print("Set b was opened before, or the record of looks cannot tell: it judges once.")
        return 2
    model = train_model(STUDY, sequences)
    # Before there is a prediction that anybody could look at, and before it is measured.
    note_look(spec, predictions)
    found = pl.read_parquet(
        store().path(predict_holdout(STUDY, sequences, model)) / "predictions.parquet"
    )
    tested = np.flatnonzero(data.split == TEST)
    learnt = np.flatnonzero((data.split != TEST) & (data.split >= 0))
    network = _log_odds(found["score"].to_numpy()[tested])
    answers = {
        "network": network,
        "trees, untuned": data.trees(learnt, tested, UNTUNED),
        "trees, tuned": data.trees(learnt, tested, TUNED),
    }
    trees = answers["trees, tuned"]
    answers["network + tuned trees"] = NETWORK_SHARE * network + (1 - NETWORK_SHARE) * trees
    return _judge(data.label[tested], answers)


def _judge(label: Floats, answers: dict[str, Floats]) -> int:
    draws = _resampled(label.size)
    print(f"set b: {label.size:,} stays, {int(label.sum())} deaths; {DRAWS:,} bootstrap draws")
    for name, answer in answers.items():
        auroc = [roc_auc_score(label[d], answer[d]) for d in draws]
        auprc = [average_precision_score(label[d], answer[d]) for d in draws]
        print(f"{name:24} {_words(label, answer)}  {_interval(auroc)}  {_interval(auprc)}")
    ours, trees = answers["network + tuned trees"], answers["trees, tuned"]
    for metric in (roc_auc_score, average_precision_score):
        gap = metric(label, ours) - metric(label, trees)
        paired = [metric(label[d], ours[d]) - metric(label[d], trees[d]) for d in draws]
        print(f"ours minus tuned trees, {metric.__name__:24} {gap:+.4f} {_interval(paired)}")
    reached = roc_auc_score(label, ours), average_precision_score(label, ours)
    print(f"aim: AUROC {AIM_AUROC:.3f}, AUPRC {AIM_AUPRC:.3f}")
    return int(reached[0] < AIM_AUROC or reached[1] < AIM_AUPRC)


def _resampled(rows: int) -> list[Rows]:
    """Rows drawn with replacement: a stay is a patient, so rows are what is resampled."""
    generator = np.random.default_rng(DRAWN_FROM)
    return [generator.integers(0, rows, rows) for _ in range(DRAWS)]


def _interval(values: list[float]) -> str:
    low, high = np.quantile(values, [0.025, 0.975])
    return f"[{low:+.4f}, {high:+.4f}]"


def _words(label: Floats, answer: Floats) -> str:
    auroc, auprc = roc_auc_score(label, answer), average_precision_score(label, answer)
    return f"AUROC {auroc:.4f}  AUPRC {auprc:.4f}"


def _log_odds(score: Floats) -> Floats:
    return np.asarray(np.log(score) - np.log1p(-score))


if __name__ == "__main__":
    sys.exit(main())
