"""Overfitting by many trials: hand-computed splits, the papers' numbers, a loop as oracle."""

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist, mean

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from validation.overfitting import (
    CannotTell,
    FloatArray,
    OverfittingEvidence,
    broken_chain,
    deflated_sharpe,
    expected_maximum_sharpe,
    overfitting_evidence,
    probabilistic_sharpe,
    probability_of_backtest_overfitting,
    sharpe_ratio,
)

HEAD = "a" * 64
# Two blocks of two rows; a column of [low, high] has ratio 3, of [-low, -high] ratio -3.
GOOD, BAD, MIXED = [1, 2, 1, 2], [-1, -2, -1, -2], [1, 2, -1, -2]


def table(*columns: Sequence[float]) -> FloatArray:
    return np.array(columns, dtype=np.float64).T


def noise(seed: int, *, rows: int = 1000, trials: int = 50, planted: float = 0.0) -> FloatArray:
    performance = np.random.default_rng(seed).normal(size=(rows, trials))
    performance[:, 0] += planted
    return performance


def pbo_over_seeds(planted: float) -> float:
    return mean(
        probability_of_backtest_overfitting(noise(seed, planted=planted), blocks=10)
        for seed in range(50)
    )


def naive_pbo(columns: Sequence[Sequence[int]], blocks: int) -> float:
    """One split, one trial, one rank at a time; whole numbers, so that sums are exact."""
    trials = [list(column) for column in dict.fromkeys(map(tuple, columns))]
    size = len(trials[0]) // blocks
    overfit = []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = {row for block in chosen for row in range(block * size, (block + 1) * size)}
        outside = set(range(len(trials[0]))) - inside
        first = [naive_ratio([trial[row] for row in inside]) for trial in trials]
        then = [naive_ratio([trial[row] for row in outside]) for trial in trials]
        best = [ratio for score, ratio in zip(first, then, strict=True) if score == max(first)]
        overfit.append(mean(naive_logit(ratio, then) <= 0 for ratio in best))
    return mean(overfit)


def naive_ratio(values: Sequence[int]) -> float:
    average = sum(values) / len(values)
    if len(set(values)) == 1:
        return 0.0 if values[0] == 0 else math.copysign(math.inf, values[0])
    return average / math.sqrt(sum(v * v for v in values) / len(values) - average * average)


def naive_logit(ratio: float, ratios: Sequence[float]) -> float:
    below = sum(other < ratio for other in ratios)
    share = (below + (ratios.count(ratio) + 1) / 2) / (len(ratios) + 1)
    return math.log(share / (1 - share))


# ---- probability of backtest overfitting ------------------------------------------------------


def test_fifty_trials_without_skill_are_overfit_about_half_of_the_time() -> None:
    assert 0.4 <= pbo_over_seeds(planted=0.0) <= 0.6


def test_one_trial_with_skill_among_fifty_is_found_for_what_it_is() -> None:
    assert pbo_over_seeds(planted=0.2) <= 0.1


@pytest.mark.parametrize(
    ("columns", "pbo"),
    [
        ([GOOD, BAD], 0.0),
        # Best in one half and worst in the other, whichever half is taken.
        ([MIXED, [-1, -2, 1, 2]], 1.0),
        # In the first half MIXED and GOOD tie: half of the split is lost with MIXED, half won.
        # In the second half GOOD is best, and ties with MIXED in the first: rank 1.5 of 2.
        ([GOOD, MIXED], 0.75),
        # Ratio 5 and best in one half, 3 and in the middle of three in the other: the logit is 0.
        ([[2, 3, 1, 2], [1, 2, 2, 3], BAD], 1.0),
        # With a fourth column the same ranks are above the middle.
        ([[2, 3, 1, 2], [1, 2, 2, 3], BAD, [-2, -3, -2, -3]], 0.0),
    ],
)
def test_two_splits_by_hand(columns: list[list[float]], pbo: float) -> None:
    assert probability_of_backtest_overfitting(table(*columns), blocks=2) == pbo


@pytest.mark.parametrize(
    ("constant", "pbo"), [(1.0, 0.0), (0.1, 0.0), (1e-9, 0.0), (0.0, 0.0), (-0.1, 0.0)]
)
def test_a_trial_without_variance_is_above_or_below_all_others(constant: float, pbo: float) -> None:
    other = [-1.0, -2.0] if constant >= 0 else [1.0, 2.0]
    performance = table([constant] * 1000, other * 500)
    assert probability_of_backtest_overfitting(performance) == pbo


def test_gains_without_variance_beat_any_ratio_and_losses_lose_to_any() -> None:
    varied = [100.0, 101.0] * 20
    for constant in (0.1, -0.1):
        one_good_half = [constant] * 20 + varied[20:]
        performance = table(one_good_half, varied)
        # In its constant half the first trial is best (or worst); in the other the two are equal,
        # which is rank 1.5 of 2: overfit. The other way round the tied two share the split.
        expected = (1.0 + 0.5) / 2
        assert probability_of_backtest_overfitting(performance, blocks=2) == expected


@given(
    st.integers(2, 4).flatmap(
        lambda trials: st.lists(
            st.lists(st.integers(-2, 3), min_size=8, max_size=8), min_size=trials, max_size=trials
        )
    ),
    st.sampled_from([2, 4]),
)
@settings(max_examples=150, deadline=None)
def test_every_split_is_counted_as_a_loop_would(columns: list[list[int]], blocks: int) -> None:
    assume(len(set(map(tuple, columns))) > 1)
    found = probability_of_backtest_overfitting(table(*columns), blocks=blocks)
    assert found == pytest.approx(naive_pbo(columns, blocks))


@given(st.integers(0, 10_000), st.permutations(range(5)), st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_order_scale_and_copies_of_trials_change_nothing(
    seed: int, order: list[int], copied: int
) -> None:
    performance = noise(seed, rows=60, trials=5)
    pbo = probability_of_backtest_overfitting(performance)
    copy = performance[:, [copied]]
    scaled = performance * 2.0 ** np.array([-3, 0, 1, 5, 9])
    assert probability_of_backtest_overfitting(performance[:, order]) == pbo
    assert probability_of_backtest_overfitting(np.hstack([copy, performance, copy])) == pbo
    assert probability_of_backtest_overfitting(scaled) == pbo


def test_rows_that_fill_no_whole_block_are_used_too() -> None:
    performance = noise(3, rows=47, trials=4)
    loud = performance.copy()
    loud[-1, 0] = 1e6
    assert 0.0 <= probability_of_backtest_overfitting(performance) <= 1.0
    assert probability_of_backtest_overfitting(loud) != probability_of_backtest_overfitting(
        performance
    )


@pytest.mark.parametrize(("rows", "blocks"), [(100, 3), (100, 0), (100, 22), (19, 10)])
def test_blocks_that_cannot_be_halved_or_filled_are_refused(rows: int, blocks: int) -> None:
    with pytest.raises(ValueError, match="even in number"):
        probability_of_backtest_overfitting(noise(0, rows=rows, trials=3), blocks=blocks)


@pytest.mark.parametrize("hole", [math.nan, math.inf])
def test_a_number_that_is_none_is_refused(hole: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        probability_of_backtest_overfitting(table([1.0, hole] * 10, [1.0, 2.0] * 10))


# ---- deflated Sharpe ratio --------------------------------------------------------------------

# Bailey and Lopez de Prado 2014, numerical example: 1250 days, annualised ratio 2.5 of 250 days a
# year, variance 1/2 of the annualised ratios of all trials; two ratios +-a have variance 2 a^2.
PAPER_RATIOS = [math.sqrt(1 / 1000), -math.sqrt(1 / 1000)]


def test_the_expected_maximum_is_that_of_the_papers_example() -> None:
    assert expected_maximum_sharpe(PAPER_RATIOS, trials=100) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "deflated"),
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_the_deflated_ratio_is_that_of_the_papers_example(
    trials: int, skewness: float, kurtosis: float, deflated: float
) -> None:
    found = probabilistic_sharpe(
        2.5 / math.sqrt(250),
        expected_maximum_sharpe(PAPER_RATIOS, trials=trials),
        periods=1250,
        skewness=skewness,
        kurtosis=kurtosis,
    )
    assert found == pytest.approx(deflated, abs=5e-5)


def test_the_expected_maximum_is_near_the_simulated_one() -> None:
    ratios = np.random.default_rng(5).normal(0.0, 0.1, size=(20_000, 30))
    simulated = ratios.max(axis=1).mean()
    sample = list(0.1 * np.array([-1.0, 1.0]) / math.sqrt(2.0))
    assert expected_maximum_sharpe(sample, trials=30) == pytest.approx(simulated, rel=0.02)


def test_a_single_trial_gives_the_probabilistic_ratio_against_zero() -> None:
    # Mean 1, standard deviation sqrt(4/3); skewness 0 and kurtosis 1 leave a spread of 1:
    # sqrt(3/4) sqrt(3) = 1.5.
    series = np.array([0.0, 2.0, 0.0, 2.0])
    assert sharpe_ratio(series) == pytest.approx(math.sqrt(0.75))
    assert deflated_sharpe(series, [math.sqrt(0.75)]) == pytest.approx(NormalDist().cdf(1.5))


def test_skewness_and_kurtosis_enter_as_computed_by_hand() -> None:
    # Mean 1, population variance 3, third moment 6, fourth 21: skewness 6 / 3^1.5, kurtosis 21 / 9.
    series = np.array([0.0, 0.0, 0.0, 4.0])
    ratio = 0.5
    spread = 1 - 6 / 27**0.5 * ratio + (21 / 9 - 1) / 4 * ratio**2
    assert deflated_sharpe(series, [ratio]) == pytest.approx(
        NormalDist().cdf(ratio * math.sqrt(3) / math.sqrt(spread))
    )


def test_more_trials_and_more_different_ones_leave_less() -> None:
    series = noise(1, rows=130, trials=1, planted=0.3)[:, 0]
    one = deflated_sharpe(series, [0.3])
    few = deflated_sharpe(series, [0.3, 0.1, 0.2])
    many = deflated_sharpe(series, [0.3, 0.1, 0.2], trials=50)
    wild = deflated_sharpe(series, [0.3, -0.5, 0.2], trials=50)
    assert one > few > many > wild


def test_the_best_of_many_without_skill_is_seldom_believed() -> None:
    believed = {"alone": 0, "deflated": 0}
    for seed in range(100):
        performance = noise(seed, rows=130, trials=20)
        ratios = [sharpe_ratio(series) for series in performance.T]
        best = performance[:, int(np.argmax(ratios))]
        believed["alone"] += deflated_sharpe(best, [max(ratios)]) > 0.95
        believed["deflated"] += deflated_sharpe(best, ratios) > 0.95
    assert believed["alone"] > 50
    assert believed["deflated"] <= 5


@pytest.mark.parametrize("series", [[0.1] * 30, [0.0] * 30, [1.0]])
def test_a_series_that_never_varies_has_no_ratio(series: list[float]) -> None:
    with pytest.raises(CannotTell, match="same in every block"):
        sharpe_ratio(np.array(series))


def test_a_ratio_without_standard_error_is_not_divided_by_zero() -> None:
    # Two values, one in five of them: skewness 1.5, kurtosis 3.25, and 1 - 1.5 s + 9/16 s^2 = 0
    # at s = 4/3.
    with pytest.raises(CannotTell, match="two values"):
        probabilistic_sharpe(4 / 3, 0.0, periods=20, skewness=1.5, kurtosis=3.25)


@pytest.mark.parametrize(("ratios", "trials"), [([], None), ([0.1, 0.2], 1), ([0.1, math.nan], 2)])
def test_ratios_that_fit_no_number_of_trials_are_refused(
    ratios: list[float], trials: int | None
) -> None:
    with pytest.raises(ValueError, match="one a trial at most"):
        expected_maximum_sharpe(ratios, trials=trials)


# ---- evidence ---------------------------------------------------------------------------------


def lists(performance: FloatArray) -> list[list[float]]:
    columns: list[list[float]] = performance.T.tolist()
    return columns


def test_the_evidence_holds_the_numbers_of_the_functions() -> None:
    performance = noise(1, rows=137, trials=8, planted=0.3)
    ratios = [sharpe_ratio(series) for series in performance.T]

    evidence = overfitting_evidence(lists(performance), 0, HEAD)

    assert (evidence.trials, evidence.blocks, evidence.ledger_sha256) == (8, 137, HEAD)
    assert evidence.chain_is_whole
    assert evidence.pbo == probability_of_backtest_overfitting(performance)
    assert evidence.sharpe == ratios[0]
    assert evidence.expected_maximum_sharpe == expected_maximum_sharpe(ratios)
    assert evidence.deflated_sharpe == deflated_sharpe(performance[:, 0], ratios)
    assert evidence.reason is evidence.pbo_reason is None


def test_a_single_trial_has_no_pbo_and_the_reason_is_said() -> None:
    evidence = overfitting_evidence(lists(noise(1, trials=1)), 0, HEAD)
    assert (evidence.trials, evidence.pbo) == (1, None)
    assert "nothing to choose" in str(evidence.pbo_reason)
    assert evidence.deflated_sharpe is not None
    assert evidence.expected_maximum_sharpe == 0.0


@pytest.mark.parametrize("rows", [0, 1, 19])
def test_fewer_than_twenty_common_blocks_tell_nothing(rows: int) -> None:
    evidence = overfitting_evidence(lists(noise(1, rows=rows, trials=3)), 1, HEAD)
    assert (evidence.pbo, evidence.deflated_sharpe, evidence.sharpe) == (None, None, None)
    assert f"share {rows} blocks" in str(evidence.reason)
    assert evidence.reason == evidence.pbo_reason


def test_twenty_common_blocks_are_enough() -> None:
    evidence = overfitting_evidence(lists(noise(1, rows=20, trials=3)), 1, HEAD)
    assert evidence.reason is evidence.pbo_reason is None


def test_trials_that_cannot_be_compared_still_count() -> None:
    performance = lists(noise(1, rows=60, trials=3, planted=0.3))
    three = overfitting_evidence(performance, 0, HEAD)
    thirty = overfitting_evidence(performance, 0, HEAD, looked_at=30)
    assert (thirty.trials, thirty.pbo) == (30, three.pbo)
    assert (three.deflated_sharpe or 0.0) > (thirty.deflated_sharpe or 1.0)


def test_with_no_other_trial_to_compare_the_deflated_ratio_is_unknown() -> None:
    evidence = overfitting_evidence(lists(noise(1, trials=1)), 0, HEAD, looked_at=2)
    assert (evidence.trials, evidence.deflated_sharpe) == (2, None)
    assert "no other trial" in str(evidence.reason)


def test_a_skill_that_never_varies_has_no_ratio_and_spoils_no_other_trials() -> None:
    performance = noise(1, rows=60, trials=3)
    performance[:, 1] = 0.25
    constant, varied = (overfitting_evidence(lists(performance), own, HEAD) for own in (1, 0))
    assert (constant.sharpe, constant.deflated_sharpe) == (None, None)
    assert "same in every block" in str(constant.reason)
    assert constant.pbo == varied.pbo is not None
    assert varied.deflated_sharpe is not None


@pytest.mark.parametrize(
    ("trials", "own", "found"),
    [([], 0, "table"), ([[1.0, math.nan]], 0, "finite"), ([[1.0, 2.0]], 1, "not among")],
)
def test_evidence_of_nothing_is_an_error(trials: list[list[float]], own: int, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        overfitting_evidence(trials, own, HEAD)


def test_trials_of_unequal_length_are_an_error() -> None:
    with pytest.raises(ValueError, match="inhomogeneous"):
        overfitting_evidence([[1.0, 2.0], [1.0]], 0, HEAD)


def test_a_broken_chain_gives_its_reason_and_no_number() -> None:
    evidence = broken_chain("000002.json does not follow the entry before it")
    assert not evidence.chain_is_whole
    assert (
        evidence.reason == evidence.pbo_reason == "000002.json does not follow the entry before it"
    )
    numbers = evidence.model_dump(exclude={"chain_is_whole", "reason", "pbo_reason"})
    assert set(numbers.values()) == {None}


@pytest.mark.parametrize(
    "change",
    [
        {"pbo": math.nan},
        {"pbo": 1.5},
        {"pbo": None},
        {"reason": "none"},
        {"sharpe": math.inf},
        {"chain_is_whole": False},
        {"trials": None},
        {"unknown": 1},
    ],
)
def test_evidence_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    content = overfitting_evidence(lists(noise(1, trials=3)), 0, HEAD).model_dump()
    assert OverfittingEvidence.model_validate(content).pbo is not None
    with pytest.raises(ValidationError):
        OverfittingEvidence.model_validate(content | change)


def test_evidence_is_the_same_after_json() -> None:
    evidence = overfitting_evidence(lists(noise(1, trials=3)), 0, HEAD)
    text = evidence.model_dump_json()
    assert OverfittingEvidence.model_validate_json(text, strict=True) == evidence
