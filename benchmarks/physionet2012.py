"""PhysioNet 2012: everything chosen by cross-validation on set a, set b opened once.

The answer is a mean of log odds: of the study's network (its `model` section), of gradient boosting
and of a logistic regression, both of models/features.py and what physionet2012_features.py derives
besides. `--choose` shows what the choice is made by: five stratified folds of set a and each
setting named below. What is chosen then stands in the study, in TUNED, PENALTY and SHARES. Without
`--choose` all learn from set a alone and answer set b. That opening is noted in the installation's
record of looks (pipelines/limits_order.py) before anything is measured; a second one is refused.

    EQUIPOISE_DATA=... python -m benchmarks.physionet2012 --choose    # the table on set a
    EQUIPOISE_DATA=... python -m benchmarks.physionet2012             # opens set b

Looked at on set a, by its folds: about 50 settings, and means of them. Of trees 19 (leaves, rounds,
rate, columns per split; plain, derived and windows of every channel), of regressions 15 (penalties;
curves, sizes), of support vector machines 4, of extremely random trees 1, of networks 13 (LSTM,
GRU, attention; scaling, decay of weights, seeds). AUROC / AUPRC, out of fold on set a (1-3 seeds),
and on set b, which was opened once, after all was fixed (95 % intervals: 1,000 bootstrap draws):

    LSTM by quantiles      .851 / .498    .860 [.843, .875] / .545 [.498, .588]    three seeds on b
    trees, untuned                        .865 [.850, .879] / .549 [.503, .594]
    trees, tuned           .868 / .525    .869 [.853, .883] / .559 [.511, .603]    five, as below
    ... and derived        .871 / .539    .873 [.857, .886] / .571 [.526, .614]
    regression, derived    .864 / .527    .867 [.851, .882] / .560 [.513, .601]
    the mean of three      .873 / .542    .875 [.860, .889] / .578 [.533, .618]

The mean has .0063 [.0016, .0114] / .019 [.003, .034] over the tuned trees and .0026 [-.0007, .0059]
/ .0075 [-.0038, .0176] over those with derived features. On set a the network's share adds no more
than chance might (.8732 / .5420 with it, .8726 / .5417 without).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import QuantileTransformer

from benchmarks.physionet2012_features import derived_features
from models.config import ModelConfig
from models.features import build_features
from models.store import TEST, SequenceStore
from pipelines.cross_validation import windows_of
from pipelines.limits_order import looks_before, note_look
from pipelines.out_of_sample import cross_validate
from pipelines.stage import store
from pipelines.stages.predict_holdout import predict_holdout
from pipelines.stages.predict_holdout import recipe_for as recipe_of_predictions
from pipelines.stages.train_model import recipe_for as recipe_of_model
from pipelines.stages.train_model import train_model
from pipelines.study import Study, load_study
from pipelines.whole_stages import whole_events, whole_sequences

STUDY = "physionet2012"
AIM_AUROC, AIM_AUPRC = 0.870, 0.545
DRAWS, DRAWN_FROM = 1000, 0
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
UNTUNED: dict[str, Any] = {"max_leaf_nodes": 4, "min_samples_leaf": 40, "max_iter": 100}
TUNED: dict[str, Any] = {
    "max_leaf_nodes": 8,
    "min_samples_leaf": 20,
    "max_iter": 400,
    "learning_rate": 0.03,
    "max_features": 0.1,
    "l2_regularization": 10.0,
}

# Inverse strength of the regression's penalty: the columns are normal scores and their sizes.
PENALTY = 0.002
QUANTILES, FURTHEST = 300, 3.0
MEAN_SIZE = 0.8  # of a normal score, about: E|z| = sqrt(2 / pi)

# Of the network, the trees and the regression in the mean of log odds, and what it was chosen from.
SHARES = (0.10, 0.45, 0.45)
SHARES_TRIED = (
    (1.0, 0.0, 0.0),
    (0.0, 0.5, 0.5),
    (0.1, 0.45, 0.45),
    (0.2, 0.4, 0.4),
    (0.3, 0.7, 0.0),
)
OURS, MEMBER = "the mean of three", "trees, tuned and derived"

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def main() -> int:
    """Print the tables; fail if the aim on set b is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--choose", action="store_true", help="compare settings on set a alone")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    spec = load_study(STUDY)
    sequences = whole_sequences(STUDY, whole_events(STUDY))
    data = Data.open(sequences)
    if asked.choose:
        _choose(spec, sequences, data, asked.processes)
        return 0
    return _open(spec, sequences, data)


@dataclass(frozen=True)
class Data:
    """The examples of a store: label [E], split [E], folds [W, E] and two sets of features.

    plain: [E, K] of models/features.py. derived: [E, L] the same and the derived ones.
    """

    plain: Floats
    derived: Floats
    label: Floats
    split: npt.NDArray[np.int8]
    folds: npt.NDArray[np.int8]

    @classmethod
    def open(cls, sequences: str) -> "Data":
        spec, folder = load_study(STUDY), store().path(sequences)
        opened = SequenceStore.open(folder)
        plain = build_features(opened, max_steps=spec.model.max_steps).columns
        return cls(
            plain,
            np.hstack([plain, derived_features(opened)[1]]),
            opened.label.astype(np.float64),
            np.asarray(opened.split),
            windows_of(folder, spec.cross_validation),
        )

    def simple_models(self, learnt: Rows, asked: Rows) -> dict[str, Floats]:
        """[R] log odds of the rows ``asked`` by each model without a network, fitted to others."""
        label = self.label[learnt]
        plain, derived = (_varying(table, learnt) for table in (self.plain, self.derived))
        return {
            "trees, untuned": _trees(plain[learnt], label, plain[asked], UNTUNED),
            "trees, tuned": _trees(plain[learnt], label, plain[asked], TUNED),
            MEMBER: _trees(derived[learnt], label, derived[asked], TUNED),
            "regression, derived": _regression(derived[learnt], label, derived[asked]),
        }


def _varying(table: Floats, rows: Rows) -> Floats:
    return table[:, [len(np.unique(column[~np.isnan(column)])) > 1 for column in table[rows].T]]


def _trees(table: Floats, label: Floats, asked: Floats, options: dict[str, Any]) -> Floats:
    """The mean over seeds, where seeds say anything."""
    answers = []
    for seed in range(TREE_SEEDS if "max_features" in options else 1):
        model = HistGradientBoostingClassifier(random_state=seed, **options).fit(table, label)
        answers.append(model.decision_function(asked))
    return np.asarray(np.mean(answers, axis=0))


def _regression(table: Floats, label: Floats, asked: Floats) -> Floats:
    """Of each column its normal score, that score's size (both ends may be bad) and whether none.

    The scores are of the rows learnt from; what is missing is at the median.
    """
    scores = QuantileTransformer(
        n_quantiles=QUANTILES, output_distribution="normal", subsample=None
    ).fit(table)

    def terms(part: Floats) -> Floats:
        missing = np.isnan(part)
        score = np.clip(np.where(missing, 0, scores.transform(part)), -FURTHEST, FURTHEST)
        return np.hstack([score, np.where(missing, 0, np.abs(score) - MEAN_SIZE), missing])

    model = LogisticRegression(C=PENALTY, max_iter=1000).fit(terms(table), label)
    return np.asarray(model.decision_function(terms(asked)))


def _mean(shares: tuple[float, ...], network: Floats, simple: dict[str, Floats]) -> Floats:
    members = (network, simple[MEMBER], simple["regression, derived"])
    return np.asarray(sum(share * one for share, one in zip(shares, members, strict=True)))


# ---- set a -------------------------------------------------------------------------------------


def _choose(spec: Study, sequences: str, data: Data, processes: int) -> None:
    """Out-of-fold figures on set a, of every setting, and of means with the simple models."""
    rows = np.flatnonzero((data.folds == TEST).any(axis=0))
    label, simple = data.label[rows], _simple_by_fold(data, rows)
    for name, answer in simple.items():
        print(f"{name:45} {_words(label, answer)}", flush=True)
    for name, options in NETWORKS.items():
        config = ModelConfig(**options)
        found = cross_validate(spec, sequences, config, processes=processes).predictions
        network = np.full(data.label.size, np.nan)
        network[found["row"].to_numpy()] = _log_odds(found["score"].to_numpy())
        for shares in SHARES_TRIED:
            answer = _mean(shares, network[rows], simple)
            print(f"{name:35} {shares!s:18} {_words(label, answer)}", flush=True)


def _simple_by_fold(data: Data, rows: Rows) -> dict[str, Floats]:
    """[R] of each simple model, each row answered by the fold that tests it."""
    answers: dict[str, Floats] = {}
    for parts in data.folds:
        tested = np.flatnonzero(parts == TEST)
        learnt = np.flatnonzero((parts != TEST) & (parts >= 0))
        for name, answer in data.simple_models(learnt, tested).items():
            whole = answers.setdefault(name, np.full(rows.size, np.nan))
            whole[np.searchsorted(rows, tested)] = answer
    return answers


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
    simple = data.simple_models(learnt, tested)
    answers = {"network": network} | simple | {OURS: _mean(SHARES, network, simple)}
    return _judge(data.label[tested], answers)


def _judge(label: Floats, answers: dict[str, Floats]) -> int:
    """Print each answer with its interval, and what ours has over it in the same draws."""
    draws = _resampled(label.size)
    print(f"set b: {label.size:,} stays, {int(label.sum())} deaths; {DRAWS:,} bootstrap draws")
    metrics = {"AUROC": roc_auc_score, "AUPRC": average_precision_score}
    for name, metric in metrics.items():
        drawn = {one: [metric(label[d], said[d]) for d in draws] for one, said in answers.items()}
        for one, said in answers.items():
            gap = metric(label, answers[OURS]) - metric(label, said)
            paired = np.subtract(drawn[OURS], drawn[one])
            print(
                f"{name} {one:26} {metric(label, said):.4f} {_interval(drawn[one])}"
                f"   ours has {gap:+.4f} {_interval(paired)}",
                flush=True,
            )
    reached = [metric(label, answers[OURS]) for metric in metrics.values()]
    print(f"aim: AUROC {AIM_AUROC:.3f}, AUPRC {AIM_AUPRC:.3f}")
    return int(reached[0] < AIM_AUROC or reached[1] < AIM_AUPRC)


def _resampled(rows: int) -> list[Rows]:
    """Rows drawn with replacement: a stay is a patient, so rows are what is resampled."""
    generator = np.random.default_rng(DRAWN_FROM)
    return [generator.integers(0, rows, rows) for _ in range(DRAWS)]


def _interval(values: Sequence[float] | Floats) -> str:
    low, high = np.quantile(values, [0.025, 0.975])
    return f"[{low:+.4f}, {high:+.4f}]"


def _words(label: Floats, answer: Floats) -> str:
    auroc, auprc = roc_auc_score(label, answer), average_precision_score(label, answer)
    return f"AUROC {auroc:.4f}  AUPRC {auprc:.4f}"


def _log_odds(score: Floats) -> Floats:
    return np.asarray(np.log(score) - np.log1p(-score))


if __name__ == "__main__":
    sys.exit(main())
