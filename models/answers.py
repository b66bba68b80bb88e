"""From raw answers to the columns that are published and audited, task by task."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.calibration import sigmoid
from models.conformal import Correction, History, Predicted, correct
from models.estimator import Estimator, ModelUnusable
from models.store import PROBABILITIES, SequenceStore
from models.tasks import task_of

# Of the task risk, by an ensemble: what each network says, averaged with the challengers that
# answer together with it if any do, in the order of its seeds.
BY_SEED = "score_seed_"

# Of whom a static feature is not known: they are a group of their own.
UNKNOWN_GROUP = -1e300

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """What networks said raw [networks, R, K] of the examples `rows` [R].

    drawn: [draws, R, K] what they said with the head's dropout left on, where a study asks for it.
    by: the static feature whose values are corrected apart, where a study asks for it.
    """

    store: SequenceStore
    rows: Rows
    raw: Floats
    drawn: Floats | None = None
    by: str | None = None

    def predictions(self, raw: Floats) -> Floats:
        """[R, K] in the label's unit, of raw [R, K]."""
        task = task_of(self.store.task, self.store.levels)
        scale = torch.from_numpy(self.store.scale[self.rows].astype(np.float64))
        answer: Floats = task.predict(torch.from_numpy(raw), scale).numpy()
        return answer

    @property
    def together(self) -> Floats:
        """[R, K] the prediction of the networks' mean raw answer."""
        return self.predictions(self.raw.mean(axis=0))

    @property
    def unsure(self) -> Floats:
        """[M, R, K] the raw answers whose spread says how unsure the prediction is."""
        return self.raw if self.drawn is None else self.drawn

    @property
    def spread(self) -> Floats:
        """[R, K] standard deviation of the predictions that are `unsure`."""
        found: Floats = np.stack([self.predictions(one) for one in self.unsure]).std(axis=0)
        return found

    def predicted(self) -> Predicted:
        """Of a task of quantiles: what the conformal correction wants to know."""
        scale = self.store.scale[self.rows].astype(np.float64)
        group = None
        if self.by is not None:
            group = self.store.static_value[self.rows, self.store.statics.index(self.by)]
            group = np.nan_to_num(group.astype(np.float64), nan=UNKNOWN_GROUP)
        return Predicted(self.together, scale, self.store.index_day[self.rows], group)

    def history(self) -> History:
        """What came true of these examples, beside what was said of them."""
        label = self.store.label[self.rows].astype(np.float64)
        return History(self.predicted(), label, self.store.label_end_day[self.rows])


def columns_of(
    answers: Answers,
    challengers: dict[str, Floats],
    estimator: Estimator,
    history: History | None,
    correction: Correction,
) -> dict[str, Floats]:
    """Name -> column [R].

    Args:
        challengers: name -> what it says raw, [R, K].
        history: for quantiles only, what may correct them.
    """
    if answers.store.task in PROBABILITIES:
        return _probabilities(answers, challengers, estimator)
    if history is None:
        return _volatilities(answers, challengers)
    return _quantiles(answers, challengers, history, correction)


def level_name(level: float) -> str:
    """q05 for the level .05."""
    return f"q{100 * level:02g}"


def _probabilities(
    answers: Answers, challengers: dict[str, Floats], estimator: Estimator
) -> dict[str, Floats]:
    logits, calibration = answers.raw[:, :, 0], estimator.calibration
    mean = logits.mean(axis=0)
    by_seed = calibration(logits)
    columns = {
        "score": calibration(mean),
        "score_raw": sigmoid(mean),
        "seed_spread": calibration(answers.unsure[:, :, 0]).std(axis=0),
    }
    if answers.store.task == "risk" and len(by_seed) > 1:
        columns |= {f"{BY_SEED}{number}": alone for number, alone in enumerate(by_seed)}
    for name, raw in challengers.items():
        columns[name] = estimator.challengers[name](raw[:, 0])
    return columns


def _volatilities(answers: Answers, challengers: dict[str, Floats]) -> dict[str, Floats]:
    together = answers.together[:, 0]
    columns = {
        "score": together,
        "score_raw": together,
        "seed_spread": answers.spread[:, 0],
    }
    return columns | {name: found[:, 0] for name, found in challengers.items()}


def _quantiles(
    answers: Answers, challengers: dict[str, Floats], history: History, correction: Correction
) -> dict[str, Floats]:
    levels = answers.store.levels
    median = levels.index(0.5)
    predicted = answers.predicted()
    corrected, counts = correct(predicted, history, levels, correction)
    _require_corrected(answers.store, predicted, counts)
    columns = {
        "score": corrected[:, median],
        "score_raw": predicted.quantiles[:, median],
        "seed_spread": answers.spread[:, median],
    }
    for name, found in ({"score": corrected} | challengers).items():
        for level, values in zip(levels, found.T, strict=True):
            columns[f"{name}_{level_name(level)}"] = values
    return columns


def _require_corrected(
    store: SequenceStore, predicted: Predicted, counts: npt.NDArray[np.int64]
) -> None:
    """What is scored to be published must be corrected; an audit sees what was not."""
    if store.resampling != "none" or not counts.size:
        return
    newest = predicted.index_day == predicted.index_day.max()
    if (counts[newest] == 0).any():
        raise ModelUnusable(
            "too few labels became known since its training to correct its quantiles by"
        )
