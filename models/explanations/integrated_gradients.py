"""Integrated gradients (Sundararajan et al. 2017, eq. 1): the gradient along the whole way."""

from captum.attr import IntegratedGradients

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained
from models.explanations.path import Gradients, Path, gradients

POINTS = 20


def integrated_gradients(explained: Explained, batch: Batch, points: int = POINTS) -> Attribution:
    """Contributions that add up to answer - reference, to the accuracy of the quadrature.

    Args:
        points: of Gauss and Legendre, at which the gradient is taken.
    """
    return Path.of(explained, batch).attribution(lambda path: _integrate(path, points))


def _integrate(path: Path, points: int) -> Gradients:
    method = IntegratedGradients(path.answer)
    method.gradient_func = gradients
    found: Gradients = method.attribute(path.whole(), n_steps=points, method="gausslegendre")
    return found
