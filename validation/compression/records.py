"""What making a model smaller did to its gaps, as the evidence holds it."""

from pydantic import Field

from validation.estimates import Estimate, Number, Record
from validation.tasks import MetricName, PopulationName


class GapChange(Record):
    """A group's gap to the rest in the smaller model, beside that of the one it was made of.

    change: gap now minus gap before, paired by draw. worsening: the upper 97.5 % bound of how much
    larger the gap became; null where it cannot be told, and change says why.
    """

    metric: MetricName
    attribute: str
    level: str
    change: Estimate
    worsening: Number | None = Field(default=None, ge=0.0)


class CompressedPopulation(Record):
    """overall: smaller model minus the one before, paired, of all subjects."""

    population: PopulationName
    overall: dict[MetricName, Estimate]
    gaps: tuple[GapChange, ...]


class CompressionEvidence(Record):
    """form: of the networks. uncompressed: key of the predictions it is compared with.

    reason: why nothing could be compared; then nothing is released.
    """

    form: str
    uncompressed: str
    populations: tuple[CompressedPopulation, ...] = ()
    reason: str | None = None
