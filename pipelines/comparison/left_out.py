"""What a table does not show, and why, in words."""

from collections.abc import Mapping

from pipelines.errors import TrainingFailed


def reason_of(failed: TrainingFailed) -> str:
    """Why a model is missing that could not be trained."""
    cause = failed.cause.rstrip(".")
    return f"could not be trained: {cause[:1].lower()}{cause[1:]}"


def require_one_trained(found: Mapping[str, object], left_out: Mapping[str, str]) -> None:
    """Something must be there to show, and to take.

    Args:
        found: what was answered, by model.
        left_out: models without an answer, and why.

    Raises:
        TrainingFailed: no model was trained.
    """
    if found:
        return
    raise TrainingFailed(
        "No model could be trained: " + "; ".join(words_of(left_out)) + ".",
        where="python -m models.cross_validation",
        remedy="See the log of each training: what all of them lack is in the data or the study.",
    )


def words_of(left_out: Mapping[str, str]) -> tuple[str, ...]:
    """Each model with its reason in brackets."""
    return tuple(f"{name} ({why})" for name, why in left_out.items())
