"""Does an explanation say what the networks do? Numbers; validation/faithfulness.py judges them.

* Comprehensiveness and sufficiency (DeYoung et al. 2020): what the explanation puts first is taken
  away, or is all that is left; how far does the answer fall? Beside it, the same with random
  orders of the same observations.
* Randomised weights (Adebayo et al. 2018): networks whose weights are drawn anew know nothing, so
  their explanation must be another one, in its sizes too: their signs are those of chance.
* Additivity, where the method promises it.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata
from torch import Tensor

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained, observed_players
from models.network import SequenceNetwork

SHARES = (0.1, 0.2, 0.5)
RANDOM_ORDERS = 5
REDRAWN = 10
FEWEST_PLAYERS = 3
TWO_SIDED_95 = 1.959964

Floats = npt.NDArray[np.float64]
Explain = Callable[[Explained, Batch], Attribution]


@dataclass(frozen=True)
class Faithfulness:
    """Means over the subjects that have at least three observations or static features.

    Attributes:
        subjects: how many these are.
        comprehensiveness, sufficiency: how far the answer moves towards the reference when the
            first tenth, fifth and half are gone, and when only they are left (raw units, the mean
            of the three). The first is high and the second low where an explanation is faithful.
        random_comprehensiveness, random_sufficiency: the same in random orders.
        comprehensiveness_gain_low, sufficiency_gain_low: by how much the explanation is better
            than a random order: the lower end of the 95 % interval over subjects.
        redrawn_correlation: Spearman's, between the contributions and those of redrawn networks,
            mean over subjects and draws.
        redrawn_size_correlation: likewise of the contributions' sizes.
        additivity_error: the largest |answer - reference - sum| over the range of the answers.
        answer_range: that range, in raw units.
    """

    method: str
    subjects: int
    comprehensiveness: float
    random_comprehensiveness: float
    comprehensiveness_gain_low: float
    sufficiency: float
    random_sufficiency: float
    sufficiency_gain_low: float
    redrawn_correlation: float
    redrawn_size_correlation: float
    additivity_error: float
    answer_range: float

    def to_json(self) -> dict[str, Any]:
        """What could not be measured is None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


def measure_faithfulness(
    name: str, explain: Explain, explained: Explained, batches: Sequence[Batch], seed: int = 0
) -> Faithfulness:
    """Measure a method on the subjects of all batches."""
    redrawn = [redraw(explained, seed + 1 + number) for number in range(REDRAWN)]
    falls, correlations, sizes, missing, answers = [], [], [], [], []
    for number, batch in enumerate(batches):
        enough = torch.nonzero(observed_players(batch).sum(dim=1) >= FEWEST_PLAYERS).flatten()
        found = explain(explained, batch)
        missing.append(found.missing.abs())
        answers.append(found.answer)
        if not len(enough):
            continue
        judged, among = _only(batch, enough), observed_players(batch)[enough]
        first = found.players()[enough]
        falls.append(_falls(explained, judged, first, np.random.default_rng([seed, number])))
        others = [explain(other, judged).players() for other in redrawn]
        correlations.append(np.stack([_correlation(first, o, among) for o in others]))
        sizes.append(np.stack([_correlation(first.abs(), o.abs(), among) for o in others]))
    spread = torch.cat(answers)
    answer_range = spread.max() - spread.min()
    error = float(torch.cat(missing).max() / answer_range)
    return _summary(name, falls, correlations, sizes, (error, float(answer_range)))


def redraw(explained: Explained, seed: int) -> Explained:
    """The networks with every weight drawn anew, about as large as those of its kind were."""
    drawing = torch.Generator().manual_seed(seed)
    networks: list[SequenceNetwork] = []
    for network in explained.networks:
        other = copy.deepcopy(network)
        with torch.no_grad():
            for parameter in other.parameters():
                size = parameter.square().mean().sqrt().item()
                drawn = torch.randn(parameter.shape, generator=drawing) * size
                parameter.copy_(drawn.to(parameter.device))
        networks.append(other)
    return replace(explained, networks=networks)


@torch.no_grad()
def _falls(
    explained: Explained, batch: Batch, contributions: Tensor, random: np.random.Generator
) -> Floats:
    """[4, B] comprehensiveness, its random kin, sufficiency and its random kin."""
    answer, reference = explained(batch), explained(explained.reference(batch))
    towards = torch.where(answer >= reference, 1.0, -1.0)
    orders = [contributions * towards.unsqueeze(1)]
    for _ in range(RANDOM_ORDERS):
        drawn = random.random(contributions.shape)
        orders.append(torch.from_numpy(drawn).to(contributions))
    gone, left = [], []
    for order in orders:
        on_top = [_first(order, observed_players(batch), share) for share in SHARES]
        gone.append(_fall(explained, batch, answer, [~top for top in on_top]) * towards)
        left.append(_fall(explained, batch, answer, on_top) * towards)
    found = [gone[0], torch.stack(gone[1:]).mean(dim=0), left[0], torch.stack(left[1:]).mean(dim=0)]
    return torch.stack(found).double().cpu().numpy()


def _fall(explained: Explained, batch: Batch, answer: Tensor, kept: Sequence[Tensor]) -> Tensor:
    """[B] answer - answer of what is kept, the mean over what is kept [B, T * C + F]."""
    cells = batch.value[0].numel()
    falls = [
        answer
        - explained(explained.without(batch, k[:, :cells].view(batch.value.shape), k[:, cells:]))
        for k in kept
    ]
    return torch.stack(falls).mean(dim=0)


def _first(order: Tensor, among: Tensor, share: float) -> Tensor:
    """[B, P] bool: the share (at least one) of those `among` with the highest `order`."""
    ranked = torch.where(among, order, -torch.inf).argsort(dim=1, descending=True, stable=True)
    rank = ranked.argsort(dim=1)
    count = torch.ceil(among.sum(dim=1) * share - 1e-9).clamp(min=1)
    return (rank < count.unsqueeze(1)) & among


def _correlation(one: Tensor, other: Tensor, among: Tensor) -> Floats:
    """[B] Spearman's correlation over those `among`; 0 where one of the two does not vary."""
    found = np.zeros(len(one))
    for row, (a, b, there) in enumerate(zip(one, other, among, strict=True)):
        ranks = [rankdata(values[there].double().cpu().numpy()) for values in (a, b)]
        if all(values.std() > 0 for values in ranks):
            found[row] = float(np.corrcoef(*ranks)[0, 1])
    return found


def _only(batch: Batch, rows: Tensor) -> Batch:
    return Batch(**{name: tensor[rows] for name, tensor in vars(batch).items()})


def _summary(
    name: str,
    falls: Sequence[Floats],
    correlations: Sequence[Floats],
    sizes: Sequence[Floats],
    additivity: tuple[float, float],
) -> Faithfulness:
    fall = np.concatenate([np.empty((4, 0)), *falls], axis=1)
    if fall.shape[1] < 2:
        return Faithfulness(name, fall.shape[1], *(math.nan,) * 8, *additivity)
    means = fall.mean(axis=1)
    return Faithfulness(
        method=name,
        subjects=fall.shape[1],
        comprehensiveness=float(means[0]),
        random_comprehensiveness=float(means[1]),
        comprehensiveness_gain_low=_low(fall[0] - fall[1]),
        sufficiency=float(means[2]),
        random_sufficiency=float(means[3]),
        sufficiency_gain_low=_low(fall[3] - fall[2]),
        redrawn_correlation=float(np.concatenate(correlations, axis=1).mean()),
        redrawn_size_correlation=float(np.concatenate(sizes, axis=1).mean()),
        additivity_error=additivity[0],
        answer_range=additivity[1],
    )


def _low(gains: Floats) -> float:
    """The lower end of the mean's 95 % interval."""
    return float(gains.mean() - TWO_SIDED_95 * gains.std(ddof=1) / math.sqrt(len(gains)))
