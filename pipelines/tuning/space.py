"""A study's parameters and samplers as Optuna has them.

A sampler is made anew for every trial, from a seed of the study's and the trial's number: it keeps
no state between trials that a kill could take away or a second worker would repeat.
"""

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import BaseSampler, GPSampler, GridSampler, RandomSampler, TPESampler

from pipelines.tuning.config import Choices, Parameter, TuningSection, is_whole_number

# Before a sampler has seen as many trials it draws by chance.
CHANCE_TRIALS = 10
# The median of fewer trials says little.
TRIALS_BEFORE_PRUNING = 5
REDUCTION = 3
# They hold a trial's report against those of others at the same rung, the latest before it or not:
# after one network that stopped early, the next one's first epoch would stand for its last.
RUNGS = frozenset({"successive_halving", "hyperband"})


def distributions(section: TuningSection) -> dict[str, BaseDistribution]:
    """What each parameter may be; of a grid its points: rounded steps may miss an end."""
    if section.sampler == "grid":
        return {
            name: CategoricalDistribution(one.points()) for name, one in section.parameters.items()
        }
    return {name: _distribution(name, one) for name, one in section.parameters.items()}


def sampler_for(section: TuningSection, number: int) -> BaseSampler:
    """Who proposes trial `number` (from 1)."""
    if section.sampler == "grid":
        points = {name: one.points() for name, one in section.parameters.items()}
        return GridSampler(points, seed=section.seed)
    mixed = np.random.SeedSequence([section.seed, number]).generate_state(1)
    seed = int(mixed[0])
    if section.sampler == "tpe":
        return TPESampler(seed=seed, n_startup_trials=CHANCE_TRIALS)
    if section.sampler == "gp":
        return GPSampler(seed=seed, n_startup_trials=CHANCE_TRIALS)
    return RandomSampler(seed=seed)


def pruner_for(section: TuningSection, most_steps: int) -> BasePruner:
    """Who stops a trial; `most_steps` are the epochs of all its networks that report."""
    if section.pruner == "median":
        return MedianPruner(
            n_startup_trials=TRIALS_BEFORE_PRUNING, n_warmup_steps=section.prune_from_epoch
        )
    least = min(section.prune_from_epoch, most_steps)
    if section.pruner == "successive_halving":
        return SuccessiveHalvingPruner(min_resource=least, reduction_factor=REDUCTION)
    if section.pruner == "hyperband":
        return HyperbandPruner(
            min_resource=least, max_resource=most_steps, reduction_factor=REDUCTION
        )
    return NopPruner()


def quiet() -> None:
    """Optuna tells a value as it comes; here a trial is in the ledger before anything is told."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _distribution(name: str, parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter, Choices):
        return CategoricalDistribution(parameter.choices)
    if is_whole_number(name):
        low, high, step = int(parameter.low), int(parameter.high), int(parameter.step or 1)
        return IntDistribution(low, high, log=parameter.log, step=step)
    return FloatDistribution(
        float(parameter.low),
        float(parameter.high),
        log=parameter.log,
        step=None if parameter.step is None else float(parameter.step),
    )
