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
from models.explanations.path import Gradients, Path, gradients

PARTS = 32


def gradient_shap(
    explained: Explained, batch: Batch, parts: int = PARTS, seed: int = 0
) -> Attribution:
    """Contributions that add up to answer - reference as `parts` grow."""
    places = _places(parts, seed)
    return Path.of(explained, batch).attribution(lambda path: _expected(path, places))


def _places(parts: int, seed: int) -> list[float]:
    drawn = np.random.default_rng(seed).random(parts)
    start = np.arange(parts)
    found: list[float] = (np.concatenate([start + drawn, start + 1.0 - drawn]) / parts).tolist()
    return found


def _expected(path: Path, places: list[float]) -> Gradients:
    whole = path.whole()
    inputs = tuple(torch.cat([place * one for place in places]).requires_grad_() for one in whole)
    found = gradients(path.answer, inputs)
    cells, statics = (
        gradient.view(len(places), *one.shape).mean(dim=0)
        for gradient, one in zip(found, whole, strict=True)
    )
    return cells, statics
