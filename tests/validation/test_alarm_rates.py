"""How often the search for harms cries wolf on clean markets, and how often it sees a planted one.

Every run is a market of its own: 20 to 60 names, 250 to 750 sessions, shocks that linger for days
and are shared across names. A sample runs by default; `-m slow` runs a hundred of each.
"""

from typing import Any

import pytest

from tests.validation.forecast_examples import CHALLENGERS, policy, simulated
from validation.evidence import HarmFinding
from validation.harms import harms
from validation.tasks import HarmName, Task

NAMES = (20, 30, 40, 60)
TASKS: tuple[Task, ...] = ("volatility", "quantiles", "direction")
PLANTS: list[tuple[Task, HarmName, dict[str, float]]] = [
    ("volatility", "unequal_error", {"small_bias": 0.25}),
    ("volatility", "survivorship", {"dead_bias": 0.4}),
    ("volatility", "regime", {"regime_break": 2.0}),
    ("quantiles", "unequal_error", {"small_bias": 0.25}),
    ("quantiles", "survivorship", {"dead_bias": 0.4}),
    ("quantiles", "regime", {"regime_break": 2.0}),
    ("direction", "unequal_error", {"small_bias": 0.25}),
    ("direction", "survivorship", {"dead_bias": 0.4}),
]
SAMPLE, ALL = 20, 100


def found(task: Task, seed: int, sessions: int, **plants: Any) -> tuple[HarmFinding, ...]:
    market = simulated(task, seed=seed, names=NAMES[seed % 4], sessions=sessions, **plants)
    return harms(market, policy(task, minimum_blocks=20), CHALLENGERS[task])


def false_alarms(task: Task, runs: int) -> int:
    """Clean markets in which any interval of the whole audit excludes 0."""
    lengths = (250, 500, 750)
    return sum(
        any(finding.alarm for finding in found(task, seed, lengths[seed % 3]))
        for seed in range(runs)
    )


def true_alarms(task: Task, harm: HarmName, plants: dict[str, float], runs: int) -> int:
    """Markets with a planted harm in which a finding of that harm raises the alarm."""
    # Two eras of at least 20 blocks of time each: with fewer the audit says it cannot tell.
    lengths = (500, 750)
    return sum(
        any(
            each.alarm and each.harm == harm
            for each in found(task, seed, lengths[seed % 2], **plants)
        )
        for seed in range(runs)
    )


# At a rate of .05 more than 4 of 20 come by chance in 3 of 1,000 samples; seeds are fixed.
@pytest.mark.parametrize("task", TASKS)
def test_a_sample_of_clean_markets_seldom_raises_an_alarm(task: Task) -> None:
    assert false_alarms(task, SAMPLE) <= 4


@pytest.mark.parametrize(("task", "harm", "plants"), PLANTS)
def test_a_planted_harm_is_seen_in_a_sample_of_markets(
    task: Task, harm: HarmName, plants: dict[str, float]
) -> None:
    assert true_alarms(task, harm, plants, SAMPLE // 4) == SAMPLE // 4


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_at_most_ten_of_a_hundred_clean_markets_raise_any_alarm(task: Task) -> None:
    assert false_alarms(task, ALL) <= 10


@pytest.mark.slow
@pytest.mark.parametrize(("task", "harm", "plants"), PLANTS)
def test_a_planted_harm_is_seen_in_at_least_ninety_of_a_hundred_markets(
    task: Task, harm: HarmName, plants: dict[str, float]
) -> None:
    assert true_alarms(task, harm, plants, ALL) >= 90
