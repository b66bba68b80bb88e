"""What a study may say instead of naming its model: `model: auto`. Light: a DAG file reads it."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from models.config import ModelConfig
from models.encoders.registry import ENCODERS
from pipelines.comparison.sections import AUTO, require_all_fitting, sections_of
from pipelines.errors import StudyInvalid


class AutoSection(BaseModel):
    """A race: which models, and for how long. In YAML `auto` alone will do.

    minutes: of wall-clock time; when they are over nothing more is begun, and what is under way
        is stopped. The first model is always finished: something must be there to train.
    models: names as `equipoise compare` takes them, in the order in which they are tried.
    seeds: networks per fold of each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes: Annotated[float, Field(gt=0)] = 60.0
    models: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(ENCODERS)
    seeds: Annotated[int, Field(ge=1, le=20)] = 1


def without_auto(study: dict[str, Any]) -> dict[str, Any]:
    """A study's YAML with `model: auto`, or `model: {auto: …}`, as the two sections it means."""
    model = study.get("model")
    if model == AUTO:
        return study | {"model": {}, AUTO: {}}
    if isinstance(model, dict) and AUTO in model:
        rest = {name: value for name, value in model.items() if name != AUTO}
        return study | {"model": rest, AUTO: model[AUTO] or {}}
    return study


def require_readable(
    section: AutoSection, base: ModelConfig, require_fitting: Callable[[ModelConfig], None]
) -> None:
    """Raises ValueError where a name of the race cannot be read, or asks for what is not there.

    Args:
        require_fitting: raises ValueError for a section that the study cannot train.
    """
    try:
        require_all_fitting(sections_of(section.models, base), require_fitting)
    except StudyInvalid as error:
        raise ValueError(f"model.auto.models: {error.cause}") from None
