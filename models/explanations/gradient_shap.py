"""Gradient SHAP (expected gradients, Erion et al. 2021): the gradient at random places on the way.

Captum's own draws from numpy's global generator, as many numbers as the batch has rows: another
company would give a subject other reasons. Here the places are the same for everybody. They are
drawn one to each equal part of the way and mirrored within it, so that what is linear in a part
is exact and the sum comes out as the theory says, without a correction.
"""

import numpy as np
import torch

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained
from models.explanations.path import PLACES_AT_A_TIME, Gradients, Path, gradients

PARTS = 32
PARTS_WITH_LEAPS = 256  # see integrated_gradients.py


def gradient_shap(
    explained: Explained, batch: Batch, parts: int | None = None, seed: int = 0
) -> Attribution:
    """Contributions that add up to answer - reference as `parts` grow.

    Args:
        parts: of the way, of equal length; None for as many as the encoder wants.

    Raises:
        ExplanationImpossible: the networks' encoder has no way to the reference without a leap.
    """
    path = Path.of(explained, batch)
    places = _places(parts or (PARTS if path.is_smooth else PARTS_WITH_LEAPS), seed)
    return path.attribution(lambda path: _expected(path, places))


def _places(parts: int, seed: int) -> list[float]:
    drawn = np.random.default_rng(seed).random(parts)
    start = np.arange(parts)
    found: list[float] = (np.concatenate([start + drawn, start + 1.0 - drawn]) / parts).tolist()
    return found


def _expected(path: Path, places: list[float]) -> Gradients:
    starts = range(0, len(places), PLACES_AT_A_TIME)
    sums = [_summed(path, places[start : start + PLACES_AT_A_TIME]) for start in starts]
    cells, statics = (
        torch.stack(part).sum(dim=0) / len(places) for part in zip(*sums, strict=True)
    )
    return cells, statics


def _summed(path: Path, places: list[float]) -> Gradients:
    whole = path.whole()
    inputs = tuple(torch.cat([place * one for place in places]).requires_grad_() for one in whole)
    found = gradients(path.answer, inputs)
    return tuple(
        gradient.view(len(places), *one.shape).sum(dim=0)
        for gradient, one in zip(found, whole, strict=True)
    )
