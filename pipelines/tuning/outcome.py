"""What became of one trial, as its artefact tells it."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue

from pipelines.tuning.config import Parameters
from pipelines.tuning.objective import Measured

OUTCOME = "trial.json"


class Outcome(BaseModel):
    """One trial: what it tried and what came of it.

    config: the whole model section; of a trial whose values make none, the values alone.
    value: mean of by_fold, in the metric; null unless the trial is complete.
    spread: standard deviation over folds.
    excess: by how much each constraint is broken; 0 or less is kept.
    told: what each constraint is about; null where it cannot be told, which breaks it.
    epochs: of all its networks, without those that a killed attempt had finished.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    number: int
    trial_id: str
    state: Literal["complete", "pruned", "failed"]
    parameters: Parameters
    config: dict[str, JsonValue]
    metric: str
    value: float | None = None
    spread: float | None = None
    by_fold: tuple[float, ...] = ()
    excess: dict[str, float] = {}
    told: dict[str, float | None] = {}
    reason: str | None = None
    epochs: int | None = None

    @property
    def keeps_constraints(self) -> bool:
        return all(excess <= 0 for excess in self.excess.values())

    @classmethod
    def read(cls, folder: Path) -> Self:
        return cls.model_validate_json((folder / OUTCOME).read_text())

    def write(self, folder: Path) -> None:
        (folder / OUTCOME).write_text(self.model_dump_json(indent=1))


def measured_fields(measured: Measured) -> dict[str, Any]:
    """The fields of a complete trial."""
    return {
        "state": "complete",
        "value": measured.value,
        "spread": measured.spread,
        "by_fold": measured.by_fold,
        "excess": measured.excess,
        "told": measured.told,
    }
