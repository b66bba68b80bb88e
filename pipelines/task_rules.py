"""What a model section may ask of which task. Light: a DAG file checks a study by it."""

from models.config import ModelConfig
from validation.tasks import CHALLENGERS, Task


def require_answerable(model: ModelConfig, task: Task, *, has_other_outcomes: bool) -> None:
    """Raises ValueError, by the field, where the task has not what the section learns from.

    Args:
        has_other_outcomes: the study's source tells of other outcomes that are learned beside.
    """
    if model.focal_gamma > 0 and task not in ("risk", "direction"):
        raise ValueError(f"model.focal_gamma: a prediction of {task} has no classes")
    if model.head == "hazard" and task != "risk":
        raise ValueError(f"model.head: a prediction of {task} has no hazard")
    if model.other_labels_share > 0 and not has_other_outcomes:
        raise ValueError(
            "model.other_labels_share: the study names no other outcomes (ehr.outcome.also)"
        )
    known = () if task == "quantiles" else CHALLENGERS[task]
    if unknown := sorted(set(model.together_with) - set(known)):
        others = f"one of {', '.join(known)}" if known else "nobody for quantiles"
        raise ValueError(f"model.together_with: expected {others}, found {', '.join(unknown)}")
    if (model.conformal_by is not None or model.conformal_rate != 0.0) and task != "quantiles":
        raise ValueError(
            "model.conformal_by, conformal_rate: only quantiles are corrected by their misses, "
            f"found a prediction of {task}"
        )
