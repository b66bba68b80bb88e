"""The model that is released now, on the same subjects as the model that is audited."""

from pydantic import Field

from validation.estimates import Estimate, Record
from validation.tasks import MetricName, PopulationName

NO_SUBJECT_IN_COMMON = "no subject was held out by both models"


class IncumbentEvidence(Record):
    """differences: audited model minus incumbent, paired by bootstrap draw, per population.

    stands False: there is nothing to compare with, and reason says why.
    """

    stands: bool
    reason: str | None = None
    differences: dict[PopulationName, dict[MetricName, Estimate]] = Field(default_factory=dict)
