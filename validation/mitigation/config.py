"""The mitigation section of a study: what is done about unequal error, and by which attribute.

Light on purpose: a DAG file and `--help` load it, so it imports nothing but pydantic.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Constraint = Literal[
    "demographic_parity",
    "true_positive_rate_parity",
    "false_positive_rate_parity",
    "equalized_odds",
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class GroupThresholds(_Section):
    """One threshold per level, by Fairlearn's ThresholdOptimizer on the validation split.

    constraint: which rate is to be equal over the levels. objective: what is best among the
    answers that make it equal; accuracy of a rare outcome is best by selecting nobody.
    """

    constraint: Constraint
    objective: Literal["balanced_accuracy_score", "accuracy_score"] = "balanced_accuracy_score"


class GroupRobust(_Section):
    """Training for the worst level (group DRO). step: how fast the weights of levels move."""

    step: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01


class MitigationConfig(_Section):
    """What is done, all by one attribute, which must be known when a subject is scored.

    least_selected_share: a mitigation under which a level, or all subjects, are selected less
    often than this share of before is refused.
    """

    attribute: str = Field(min_length=1)
    group_thresholds: GroupThresholds | None = None
    reweighing: bool = False
    group_robust: GroupRobust | None = None
    least_selected_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5

    @property
    def trains_otherwise(self) -> bool:
        """Whether the network itself differs, so that a twin without it is trained beside it."""
        return self.reweighing or self.group_robust is not None

    @model_validator(mode="after")
    def _does_something_and_not_two_of_a_kind(self) -> Self:
        if not self.trains_otherwise and self.group_thresholds is None:
            raise ValueError("name a mitigation: group_thresholds, reweighing or group_robust")
        if self.reweighing and self.group_robust is not None:
            raise ValueError("reweighing and group_robust both weigh the training rows: choose one")
        return self
