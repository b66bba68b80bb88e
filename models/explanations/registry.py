"""The methods by name. Those that add up may give reasons; the others are looked at beside them."""

from collections.abc import Callable
from dataclasses import dataclass

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained
from models.explanations.gradient_shap import gradient_shap
from models.explanations.integrated_gradients import integrated_gradients
from models.explanations.kernel_shap import kernel_shap
from models.explanations.lime import lime
from models.explanations.occlusion import occlusion


@dataclass(frozen=True)
class Method:
    """One way to explain. `adds_up`: contributions sum to answer - reference, by its theory."""

    explain: Callable[[Explained, Batch], Attribution]
    adds_up: bool


METHODS: dict[str, Method] = {
    "integrated_gradients": Method(integrated_gradients, adds_up=True),
    "gradient_shap": Method(gradient_shap, adds_up=True),
    "kernel_shap": Method(kernel_shap, adds_up=True),
    "lime": Method(lime, adds_up=False),
    "occlusion": Method(occlusion, adds_up=False),
}

# What gives the reasons that are published: see docs/explanations.md for the choice.
OF_REASONS = "integrated_gradients"
