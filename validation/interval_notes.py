"""What the intervals of an audit hold and what they leave out, in words for its report."""

from collections.abc import Iterator, Sequence

from validation.data_evidence import Finding
from validation.evidence import PopulationEvidence
from validation.populations import Population

KIND = "what an interval holds"
WEIGHTS_AGAIN = (
    "its intervals hold that the weights for censoring are estimates: they are estimated again in "
    "every draw of the bootstrap, from the training split's subjects"
)
WEIGHTS_FIXED = "its intervals take the weights for censoring as they are: {reason}"
SEEDS = (
    "its intervals hold the spread between the {count} seeds of the released model: each draw of "
    "the bootstrap draws seeds too"
)
ONE_SEED = "its intervals leave out what other seeds would have given: no scores by seed are there"
SEEDS_OF_FOLDS = (
    "each score comes from one seed, that of its fold: the spread between seeds lies between folds"
)


def interval_notes(populations: Sequence[Population]) -> tuple[Finding, ...]:
    """One sentence on weights and one on seeds for each population."""
    return tuple(
        Finding(kind=KIND, where=population.name, words=words)
        for population in populations
        for words in _words(population)
    )


def forecast_interval_notes(populations: Sequence[PopulationEvidence]) -> tuple[Finding, ...]:
    """One sentence on seeds for each population of forecasts; their rows have no weights."""
    return tuple(
        Finding(kind=KIND, where=population.population, words=ONE_SEED)
        for population in populations
    )


def _words(population: Population) -> Iterator[str]:
    if population.fixed_because is None:
        yield WEIGHTS_AGAIN
    else:
        yield WEIGHTS_FIXED.format(reason=population.fixed_because)
    if population.name == "cross_fitted":
        yield SEEDS_OF_FOLDS
    elif population.seeds is None:
        yield ONE_SEED
    else:
        yield SEEDS.format(count=len(population.seeds))
