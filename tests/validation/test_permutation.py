"""Exchanging whole clusters says how large a gap chance alone makes."""

import numpy as np
import polars as pl
import pytest

from tests.validation.audit_examples import CHALLENGERS, gating_line, policy, simulated
from validation.audit import audit_predictions_table
from validation.config import AuditConfig
from validation.evidence import Gap
from validation.permutation import EXCHANGES, exchangeable, share_at_least, with_permutation_shares


def test_whole_clusters_are_exchanged_and_mixed_ones_stay() -> None:
    clusters = np.array([7, 7, 3, 5, 5, 9])
    levels = np.array([0, 0, 1, 0, 1, 1])
    exchange = exchangeable(levels, clusters)
    assert exchange is not None
    seen = {tuple(exchange(np.random.default_rng(seed)).tolist()) for seed in range(60)}
    # Cluster 5 is of both levels. Of 7, 3 and 9 one is of level 0: three ways.
    assert seen == {(0, 0, 1, 0, 1, 1), (1, 1, 0, 0, 1, 1), (1, 1, 1, 0, 1, 0)}


@pytest.mark.parametrize(
    "levels", [[0, 0, 0, 0], [0, 1, 0, 1]], ids=["one level", "only mixed clusters"]
)
def test_where_nothing_can_be_exchanged_there_is_nothing_to_say(levels: list[int]) -> None:
    assert exchangeable(np.array(levels), np.array([1, 1, 2, 2])) is None


def test_hand_computed_share() -> None:
    # -.3 and .2 are at least as large as .2; with the observed one 3 of 5.
    assert share_at_least(0.2, np.array([0.1, -0.3, 0.2, 0.0])) == pytest.approx(3 / 5)


def test_exchanges_that_give_no_metric_leave_the_share_unknown() -> None:
    many = np.full(100, 0.1)
    many[:2] = np.nan
    assert share_at_least(0.2, many) is None
    many[1] = 0.1
    assert share_at_least(0.2, many) == pytest.approx(1 / 100)


def audited(frame: pl.DataFrame, config: AuditConfig) -> list[Gap]:
    populations = audit_predictions_table(frame, config, challengers=CHALLENGERS)
    found = with_permutation_shares(populations, frame, config)
    assert [one.model_copy(update={"gaps": ()}) for one in found] == [
        one.model_copy(update={"gaps": ()}) for one in populations
    ]
    return list(found[0].gaps)


def by_sex(frame: pl.DataFrame) -> pl.DataFrame:
    """Clusters of one sex each."""
    is_man = (frame["sex"] == "male").cast(pl.Int64)
    return frame.with_columns(cluster=2 * pl.col("cluster") + is_man)


def shares(gaps: list[Gap], metric: str) -> dict[str, float | None]:
    return {
        one.level: one.permutation_share
        for one in gaps
        if (one.attribute, one.metric) == ("sex", metric)
    }


def test_only_what_a_line_is_about_is_exchanged() -> None:
    config = policy(
        reported=[gating_line(line="x", metric="fpr", group="age_band", between=[-0.1, 0.1])]
    )
    gaps = audited(by_sex(simulated()), config)
    told = {(one.attribute, one.metric) for one in gaps if one.permutation_share is not None}
    assert told <= {("sex", "tpr"), ("age_band", "fpr")}
    assert ("sex", "tpr") in told


def test_a_shift_of_one_sex_is_larger_than_any_exchange_makes() -> None:
    gaps = audited(by_sex(simulated(men_scored_lower=1.5)), policy())
    assert shares(gaps, "tpr") == {
        "female": pytest.approx(1 / (1 + EXCHANGES)),
        "male": pytest.approx(1 / (1 + EXCHANGES)),
    }


def test_fair_models_give_shares_all_over_the_unit_interval() -> None:
    config = policy(bootstrap_draws=100, crossings=[], attributes=["sex"])
    found = [
        shares(audited(by_sex(simulated(seed=seed, subjects=1500)), config), "tpr")["male"]
        for seed in range(12)
    ]
    assert all(one is not None and 1 / 201 <= one <= 1 for one in found)
    # Were they not about uniform, twelve would not spread like this (less than 1 in 1000).
    assert max(one or 0 for one in found) > 0.5 > min(one or 0 for one in found)
