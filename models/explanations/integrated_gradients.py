"""Integrated gradients (Sundararajan et al. 2017, eq. 1): the gradient along the whole way."""

from captum.attr import IntegratedGradients

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained
from models.explanations.path import PLACES_AT_A_TIME, Gradients, Path, gradients

POINTS = 20
# A gradient that leaps is met by no polynomial: the error falls as the points grow, no faster.
POINTS_WITH_LEAPS = 512


def integrated_gradients(
    explained: Explained, batch: Batch, points: int | None = None
) -> Attribution:
    """Contributions that add up to answer - reference, to the accuracy of the quadrature.

    Args:
        points: of Gauss and Legendre, at which the gradient is taken; None for as many as the
            encoder wants.

    Raises:
        ExplanationImpossible: the networks' encoder has no way to the reference without a leap.
    """
    path = Path.of(explained, batch)
    number = points or (POINTS if path.is_smooth else POINTS_WITH_LEAPS)
    return path.attribution(lambda path: _integrate(path, number))


def _integrate(path: Path, points: int) -> Gradients:
    method = IntegratedGradients(path.answer)
    method.gradient_func = gradients
    found: Gradients = method.attribute(
        path.whole(),
        n_steps=points,
        method="gausslegendre",
        internal_batch_size=len(path.facts) * PLACES_AT_A_TIME,
    )
    return found
