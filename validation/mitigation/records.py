"""What a mitigation did: fairness and utility before and after it, as the evidence holds them."""

from typing import Literal

from pydantic import Field

from validation.estimates import Estimate, Number, Record
from validation.tasks import MetricName, PopulationName

# The column of each subject's own threshold, where groups have their own.
THRESHOLD = "threshold"
MitigationName = Literal["group_thresholds", "reweighing", "group_robust"]


class GroupThreshold(Record):
    """The threshold of one level; fitted is False where it is the overall one, words say why."""

    level: str
    threshold: Number = Field(ge=0.0, le=1.0)
    fitted: bool
    words: str


class ThresholdTable(Record):
    """One threshold per level of an attribute; a level that is not named gets `overall`.

    target: the rates that Fairlearn's randomised answer gives every level on the validation
    split; each level's threshold is the single one that comes nearest to them.
    """

    attribute: str
    constraint: str
    objective: str
    overall: Number = Field(ge=0.0, le=1.0)
    groups: tuple[GroupThreshold, ...]
    target: dict[str, Number] = Field(default_factory=dict)
    words: str


class BeforeAfter(Record):
    """A metric without and with the mitigation, on the same subjects and draws.

    attribute "overall": the value of all; of a group, `is_gap` tells its gap to the rest from its
    own value. change: after minus before, paired.
    """

    metric: MetricName
    attribute: str
    level: str
    is_gap: bool
    before: Estimate
    after: Estimate
    change: Estimate


class MitigatedPopulation(Record):
    population: PopulationName
    measured: tuple[BeforeAfter, ...]


class MitigationEvidence(Record):
    """kinds: what was done, in order, all by one attribute.

    least_selected_share: a mitigation under which a group, or all, are selected less often than
    this share of before is refused: equality by selecting nobody helps nobody.
    """

    kinds: tuple[MitigationName, ...] = Field(min_length=1)
    attribute: str
    least_selected_share: Number = Field(gt=0.0, le=1.0)
    table: ThresholdTable | None = None
    populations: tuple[MitigatedPopulation, ...] = ()
    words: tuple[str, ...] = ()
