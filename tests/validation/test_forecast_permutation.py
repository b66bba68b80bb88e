"""Instruments or blocks of time are exchanged, whichever the attribute is one of."""

import numpy as np
import polars as pl
import pytest

from tests.validation.forecast_examples import CHALLENGERS, line, policy, simulated
from validation.config import AuditConfig
from validation.evidence import Gap
from validation.forecast_audit import audit_forecasts
from validation.forecast_measuring import model_of
from validation.forecast_permutation import units_of, with_forecast_shares
from validation.forecast_populations import NETWORK, forecast_populations
from validation.permutation import EXCHANGES

LEAST = 1 / (1 + EXCHANGES)


def gap_line(attribute: str, metric: str = "mae") -> dict[str, object]:
    given = line(line=f"{metric} by {attribute}", metric=metric, group=attribute, between=[-1, 1])
    return {name: value for name, value in given.items() if name != "against"}


def config(*attributes: str, metric: str = "mae") -> AuditConfig:
    return policy(reported=[gap_line(attribute, metric) for attribute in attributes])


def gaps(frame: pl.DataFrame, audited: AuditConfig) -> list[Gap]:
    measured = audit_forecasts(frame, audited, CHALLENGERS["volatility"])
    found = with_forecast_shares(measured, frame, audited)
    return [gap for one in found if one.population == "walk_forward" for gap in one.gaps]


def told(found: list[Gap]) -> list[Gap]:
    return [gap for gap in found if gap.permutation_share is not None]


@pytest.mark.parametrize(("attribute", "named"), [("sector", "subjects"), ("era", "blocks")])
def test_the_sums_of_units_as_they_are_give_the_gap_itself(attribute: str, named: str) -> None:
    frame, audited = simulated(names=12, sessions=300), config(attribute)
    population = forecast_populations(frame, audited, CHALLENGERS["volatility"])[-1]
    units = units_of(population, model_of(population, NETWORK, audited), attribute)
    members = getattr(population, named)[population.known]
    assert len(units.levels) <= len(np.unique(members))
    loss, rows = units.names.index("absolute"), units.names.index("one")
    total = units.sums.sum(axis=0) + np.sum(list(units.fixed.values()), axis=0)
    assert total[rows] == population.known.sum()
    for gap in gaps(frame, audited):
        if (gap.attribute, gap.metric) == (attribute, "mae"):
            inside = units.sums[np.array(units.levels) == gap.level].sum(axis=0)
            inside = inside + units.fixed[gap.level]
            rest = total - inside
            expected = inside[loss] / inside[rows] - rest[loss] / rest[rows]
            assert gap.estimate.value == pytest.approx(expected, abs=1e-12)


def test_only_gaps_of_a_line_have_a_share_and_ranks_have_none() -> None:
    frame = simulated(names=12, sessions=300)
    assert {(gap.attribute, gap.metric) for gap in told(gaps(frame, config("sector")))} == {
        ("sector", "mae")
    }
    assert not told(gaps(frame, config("sector", metric="rank_ic")))


def test_names_forecast_too_low_are_told_from_exchanged_ones() -> None:
    frame = simulated(names=30, sessions=300, small_bias=0.35)
    found = told(gaps(frame, config("size", metric="relative_error")))
    assert min(gap.permutation_share or 1.0 for gap in found) == pytest.approx(LEAST)


def test_of_a_fair_market_about_one_share_in_twenty_lies_below_five_per_cent() -> None:
    shares = [
        gap.permutation_share or 0.0
        for seed in range(5)
        for gap in told(
            gaps(simulated(names=12, sessions=200, seed=seed), config("sector", "size"))
        )
    ]
    assert len(shares) >= 10
    # 0.05 of all, give or take: five standard errors of that many independent ones.
    assert np.mean(np.array(shares) < 0.05) < 0.05 + 5 * np.sqrt(0.05 * 0.95 / len(shares))
    assert max(shares) > 0.5
