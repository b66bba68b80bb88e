"""The race of `model: auto`: successive halving over folds within a time budget.

Every model is tried on the first two folds; the better half goes on to all of them. With time
enough the clock decides nothing. What it kept from being tried is said.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import polars as pl

from models.config import ModelConfig
from pipelines.comparison.left_out import reason_of, require_one_trained, words_of
from pipelines.errors import TrainingFailed
from pipelines.out_of_sample import CrossValidated, Epoch
from validation.comparison import primary_metric, value_of
from validation.config import AuditConfig
from validation.tasks import LOWER_IS_BETTER

FIRST_FOLDS = 2
NO_TIME = "no time"

log = logging.getLogger(__name__)

# name, its section, folds, whether the simple models are asked too, who hears of each epoch.
Ask = Callable[[str, ModelConfig, tuple[int, ...], bool, Callable[[Epoch], None]], CrossValidated]


class OutOfTime(Exception):
    """The budget ended while a model was trained."""


@dataclass
class Clock:
    """A time budget that ends a training in its midst."""

    seconds: float
    now: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.now()

    @property
    def is_over(self) -> bool:
        return self.now() - self.started >= self.seconds

    def stop(self, epoch: Epoch) -> None:
        """Raises OutOfTime once the budget is spent."""
        if self.is_over:
            raise OutOfTime


@dataclass(frozen=True)
class Raced:
    """answered: what each finalist answered, by all folds. not_tried: what was left out, and why.

    challengers: answers that hold those of the simple models too, by all folds.
    """

    answered: dict[str, list[CrossValidated]]
    challengers: list[CrossValidated]
    not_tried: tuple[str, ...]


def race(
    sections: Mapping[str, ModelConfig],
    folds: int,
    policy: AuditConfig,
    clock: Clock,
    ask: Ask,
) -> Raced:
    """Try models in their order until the time is over; the first of them is always finished.

    A model that cannot be trained is left out like one that there was no time for, and the next
    one stands in its place.

    Args:
        folds: how many the study has.
        ask: trains and answers, or gives back what was answered before; passes on OutOfTime.

    Raises:
        TrainingFailed: no model can be trained.
    """
    first = tuple(range(min(FIRST_FOLDS, folds)))
    rest = tuple(range(len(first), folds))
    tried, late = _leg(sections, first, clock, ask)
    require_one_trained(tried, late)
    challengers = [next(iter(tried.values()))]
    missed = list(words_of(late))
    if not rest:
        return Raced({name: [one] for name, one in tried.items()}, challengers, tuple(missed))
    order = sorted(tried, key=lambda name: _cost(tried[name], policy))
    better, behind = order[: ceil(len(order) / 2)], order[ceil(len(order) / 2) :]
    whole, late = _leg({name: sections[name] for name in better}, rest, clock, ask)
    if not whole:  # then those that were behind are all that is left
        whole, more = _leg({name: sections[name] for name in behind}, rest, clock, ask)
        late, behind = late | more, []
    require_one_trained(whole, late)
    missed += [f"{name} on all folds (behind on the first {len(first)})" for name in behind]
    missed += words_of({f"{name} on all folds": why for name, why in late.items()})
    answered = {name: [tried[name], one] for name, one in whole.items()}
    return Raced(answered, [*challengers, next(iter(whole.values()))], tuple(missed))


def _leg(
    sections: Mapping[str, ModelConfig],
    folds: tuple[int, ...],
    clock: Clock,
    ask: Ask,
) -> tuple[dict[str, CrossValidated], dict[str, str]]:
    """Answers of the models that were finished, and of those that were not why.

    The first that can be trained is finished whatever the clock says, and asked for the simple
    models' answers too.
    """
    found: dict[str, CrossValidated] = {}
    late = {}
    for name, section in sections.items():
        is_first = not found
        if clock.is_over and not is_first:
            late[name] = NO_TIME
            continue
        try:
            log.info("race: %s on folds %s", name, folds)
            found[name] = ask(name, section, folds, is_first, _goes_on if is_first else clock.stop)
        except OutOfTime:
            late[name] = NO_TIME
        except TrainingFailed as failed:
            log.warning("race: %s cannot be trained: %s", name, failed.cause)
            late[name] = reason_of(failed)
    return found, late


def _goes_on(epoch: Epoch) -> None:
    """Whatever the clock says."""


def _cost(found: CrossValidated, policy: AuditConfig) -> float:
    """Mean of the primary metric over folds, so signed that less is better."""
    primary = primary_metric(policy)
    parts: Sequence[pl.DataFrame] = found.with_examples().partition_by("fold")
    values = [value_of(primary, part, "score", policy) for part in parts]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return float("inf")
    mean = sum(known) / len(known)
    return mean if primary in LOWER_IS_BETTER else -mean
