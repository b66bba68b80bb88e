"""From a store and a model directory to reasons, faithfulness, and one subject's explanations."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.batches import Batch, assemble, plan_batches
from models.compression.registry import TRAINED
from models.estimator import Model, best_device, read_network
from models.explanations.attention import attention
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained, ExplanationImpossible
from models.explanations.faithfulness import measure_faithfulness
from models.explanations.integrated_gradients import integrated_gradients
from models.explanations.reasons import Reason, reasons_of, require_finite
from models.explanations.registry import METHODS, OF_REASONS
from models.networks import use_threads
from models.store import SequenceStore
from models.tasks import task_of

# A method that walks along a path reads each step at some thirty places at once.
TOKENS_AT_A_TIME = 1024
# What a row's contributions may leave missing, in raw units, before they are looked at closer.
COARSE = 1e-3
MORE_POINTS = 256

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Explaining:
    """The released networks and the store whose subjects they are to be explained on."""

    store: SequenceStore
    explained: Explained
    max_steps: int

    @classmethod
    def open(cls, sequences: Path, model: Path) -> "Explaining":
        """
        Raises:
            SequencesUnusable: `sequences` is not a readable store.
            ModelUnusable: the model is not readable, or not for these sequences.
            ExplanationImpossible: the task has no one answer to explain, or the score is not
                that of networks as they were trained.
        """
        store, words = SequenceStore.open(sequences), Model.read(model)
        words.check_fits(store)
        _require_networks_alone(words)
        use_threads(words.config.threads)
        task, device = task_of(store.task, store.levels), best_device()
        networks = [
            read_network(
                model / f"{name}.safetensors", words.released.scaler, words.config, task.outputs
            ).to(device)
            for name in words.released.networks
        ]
        return cls(store, Explained.of(networks, task), words.config.max_steps)

    def batches(self, rows: Rows) -> Iterator[tuple[Rows, Batch]]:
        """The examples `rows` [R], in batches of similar length."""
        lengths = self.store.lengths.clip(max=self.max_steps)
        for chosen in plan_batches(lengths, rows, tokens=TOKENS_AT_A_TIME):
            batch = assemble(self.store, chosen, max_steps=self.max_steps)
            yield chosen, batch.to(best_device())

    def explain(self, method: str, rows: Rows) -> Iterator[tuple[Rows, Batch, Attribution]]:
        """Raises ExplanationImpossible where a contribution is no number."""
        for chosen, batch in self.batches(rows):
            found = METHODS[method].explain(self.explained, batch)
            require_finite(found)
            yield chosen, batch, found

    def reasons(
        self, rows: Rows, method: str = OF_REASONS
    ) -> tuple[list[dict[str, Any]], dict[int, float]]:
        """One line per reason: row, rank, channel, days_before, contribution, method.

        And for each row what its contributions leave missing, in raw units.
        """
        codes = tuple(channel.code for channel in self.store.channels)
        told: dict[int, list[Reason]] = {}
        missing: dict[int, float] = {}
        for chosen, batch, found in self._closer(method, rows):
            reasons = reasons_of(found, batch, codes, self.store.statics)
            told |= dict(zip(chosen.tolist(), reasons, strict=True))
            missing |= dict(zip(chosen.tolist(), found.missing.tolist(), strict=True))
        lines = [
            {"row": row, **asdict(reason), "method": method}
            for row, reasons in told.items()
            for reason in reasons
        ]
        return lines, missing

    def _closer(self, method: str, rows: Rows) -> Iterator[tuple[Rows, Batch, Attribution]]:
        """As `explain`; what comes out coarse is followed by itself, with more points on its way.

        Only integrated gradients grow closer with points; the answers of few rows bend so sharply.
        """
        coarse: list[int] = []
        for chosen, batch, found in self.explain(method, rows):
            coarse += chosen[(found.missing.abs() > COARSE).cpu().numpy()].tolist()
            yield chosen, batch, found
        if method == "integrated_gradients":
            for chosen, batch in self.batches(np.array(coarse, dtype=np.int64)):
                found = integrated_gradients(self.explained, batch, MORE_POINTS)
                require_finite(found)
                yield chosen, batch, found

    def faithfulness(self, rows: Rows, method: str = OF_REASONS) -> dict[str, Any]:
        """The numbers of models/explanations/faithfulness.py on the examples `rows`."""
        batches = [batch for _, batch in self.batches(rows)]
        measured = measure_faithfulness(method, METHODS[method].explain, self.explained, batches)
        return measured.to_json() | {"adds_up": METHODS[method].adds_up}


def _require_networks_alone(words: Model) -> None:
    """What has no gradient, or is half of somebody else's making, is not explained by half."""
    if words.config.together_with:
        raise ExplanationImpossible("the score is averaged with models that are no networks")
    if words.form != TRAINED:
        raise ExplanationImpossible(f"the networks are kept as {words.form}, not as trained")


def explained_reasons(
    sequences: Path, model: Path, rows: Rows, judged_on: Path, sample: Rows
) -> tuple[list[dict[str, Any]], dict[int, float], dict[str, Any]]:
    """The reasons of the examples `rows`, and how faithful they are on another store's `sample`.

    Between the two, for each of the rows, what its contributions leave missing.

    Args:
        judged_on: sequences that the model fits as well: those of its training, whose test part
            has subjects enough where a generation has a handful.
    """
    reasons, missing = Explaining.open(sequences, model).reasons(rows)
    return reasons, missing, Explaining.open(judged_on, model).faithfulness(sample)


def explained_subject(sequences: Path, model: Path, row: int) -> dict[str, Any]:
    """All methods on one example, as plain numbers.

    Returns:
        answer, reference: of that example; methods: for each method its `contributions`: channel,
        days_before (None for a static feature) and contribution of every one that is not 0,
        the largest first, and `adds_up`; attention: days_before and weight of each time step,
        None where the encoder has none.
    """
    explaining = Explaining.open(sequences, model)
    told: dict[str, Any] = {"methods": {}}
    for name, method in METHODS.items():
        ((_, batch, found),) = explaining.explain(name, np.array([row]))
        told |= {"answer": float(found.answer), "reference": float(found.reference)}
        told["methods"][name] = {
            "adds_up": method.adds_up,
            "contributions": _contributions(explaining, batch, found),
        }
        weights = attention(explaining.explained, batch)
        told["attention"] = None if weights is None else _weights(weights, batch)
    return told


def _weights(weights: Tensor, batch: Batch) -> list[dict[str, float]]:
    days, steps = -batch.step_days[0], batch.steps[0]
    pairs = zip(days[steps].tolist(), weights[0][steps].tolist(), strict=True)
    return [{"days_before": max(0.0, when), "weight": weight} for when, weight in pairs]


def _contributions(
    explaining: Explaining, batch: Batch, found: Attribution
) -> list[dict[str, Any]]:
    codes, days = [c.code for c in explaining.store.channels], (-batch.step_days[0]).cpu()
    lines: list[dict[str, Any]] = []
    for step, channel in torch.nonzero(found.observations[0]).tolist():
        when = max(0.0, float(days[step]))
        size = float(found.observations[0, step, channel])
        lines.append({"channel": codes[channel], "days_before": when, "contribution": size})
    for name, size in zip(explaining.store.statics, found.statics[0].tolist(), strict=True):
        if size != 0.0:
            lines.append({"channel": name, "days_before": None, "contribution": size})
    return sorted(lines, key=lambda line: -abs(line["contribution"]))
