"""Harms of forecasts: what each gap is, how wide its interval, and what cannot be seen."""

from collections import Counter
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from scipy import stats

from tests.validation.forecast_examples import CHALLENGERS, policy, simulated
from validation.config import AuditConfig
from validation.evidence import HarmFinding
from validation.forecast_audit import audit_forecasts
from validation.harms import harms

MARKET = simulated(seed=5, names=20, sessions=400)
NAMES = CHALLENGERS["volatility"]
FOUND = harms(MARKET, policy(), NAMES)


def one(
    found: tuple[HarmFinding, ...], attribute: str, level: str | None, metric: str
) -> HarmFinding:
    (finding,) = [
        each
        for each in found
        if (each.attribute, each.level, each.metric) == (attribute, level, metric)
    ]
    return finding


def test_every_harm_is_looked_for_over_its_own_attributes() -> None:
    attributes = {(each.harm, each.attribute) for each in FOUND}
    assert attributes == {
        ("unequal_error", "sector"),
        ("unequal_error", "size"),
        ("unequal_error", "listing_age"),
        ("regime", "era"),
        ("regime", "volatility_regime"),
        ("survivorship", "listing_status"),
    }
    assert {each.on for each in FOUND} == {"walk_forward"}


def test_a_gap_in_skill_is_the_one_of_the_audit() -> None:
    audited = audit_forecasts(MARKET, policy(), NAMES)[1]
    for gap in audited.gaps:
        if gap.metric == "skill_mae" and gap.attribute != "listing_status":
            finding = one(FOUND, gap.attribute, gap.level, "skill_mae")
            assert finding.estimate.value == pytest.approx(gap.estimate.value, abs=1e-12)


def log_relative_error(frame: pl.DataFrame) -> float:
    sums = [frame[name].cast(pl.Float64).to_numpy().sum() for name in ("score", "label")]
    return float(np.log(sums[0] / sums[1]))


def test_survivorship_is_all_names_minus_those_still_listed() -> None:
    listed = MARKET.filter(pl.col("listing_status") == "listed")
    finding = one(FOUND, "listing_status", None, "log_relative_error")
    expected = log_relative_error(MARKET) - log_relative_error(listed)
    assert finding.estimate.value == pytest.approx(expected, abs=1e-7)


def test_the_standard_error_is_that_of_leaving_out_blocks_with_their_neighbours() -> None:
    def gap(frame: pl.DataFrame) -> float:
        small = frame.filter(pl.col("size") == "small")
        rest = frame.filter(pl.col("size") != "small")
        return log_relative_error(small) - log_relative_error(rest)

    blocks = sorted(set(MARKET["cluster"]))
    left = np.array([gap(MARKET.filter(pl.col("cluster") != block)) for block in blocks])
    apart = left - left.mean()
    neighbours = sum(a * b for a, b in pairwise(apart))
    variance = (1 - 1 / len(blocks)) * (np.sum(apart**2) + 2 * max(0.0, neighbours))
    finding = one(FOUND, "size", "small", "log_relative_error")
    assert finding.estimate.standard_error == pytest.approx(np.sqrt(variance), rel=1e-5)


def test_intervals_hold_for_all_gaps_together() -> None:
    finding = one(FOUND, "size", "small", "log_relative_error")
    # Per metric: 3 sectors, 3 sizes, 3 regimes; ages and eras are mirrored pairs; all - listed.
    hypotheses = 2 * (3 + 3 + 3 + 1 + 1 + 1)
    assert half_in_errors(finding) == pytest.approx(quantile(MARKET, hypotheses), rel=1e-6)


def test_two_told_levels_beside_a_third_that_cannot_be_told_are_no_mirrors() -> None:
    in_one_block = (pl.col("size") != "small") & (pl.col("cluster") == pl.col("cluster").min())
    size = pl.when(pl.col("size") == "small").then(pl.lit("small")).otherwise(pl.lit("large"))
    two = MARKET.with_columns(size=size)
    three = two.with_columns(size=pl.when(in_one_block).then(pl.lit("unknown")).otherwise(size))
    for frame, levels, hypotheses in ((two, 2, 2 * 1), (three, 3, 2 * 2)):
        found = harms(frame, policy(attributes=["size"]), NAMES)
        assert len([each for each in found if each.attribute == "size"]) == 2 * levels
        assert sum(each.alarm is not None for each in found) == 2 * 2
        finding = one(found, "size", "small", "log_relative_error")
        assert half_in_errors(finding) == pytest.approx(quantile(frame, hypotheses), rel=1e-6)


def half_in_errors(finding: HarmFinding) -> float:
    """Half the width of the interval in standard errors."""
    estimate = finding.estimate
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.standard_error is not None
    return (estimate.high - estimate.low) / 2 / estimate.standard_error


def quantile(frame: pl.DataFrame, hypotheses: int) -> float:
    """Bonferroni's, with the effective blocks of small names or of the rest, whichever are less."""
    is_small = pl.col("size") == "small"
    effective = []
    for side in (frame.filter(is_small), frame.filter(~is_small)):
        sums = side.group_by("cluster").agg(pl.col("label").sum())
        weights = sums["label"].cast(pl.Float64).to_numpy()
        effective.append(weights.sum() ** 2 / (weights**2).sum())
    return float(stats.t.isf(0.025 / hypotheses, df=min(effective) - 1))


def test_an_alarm_is_an_interval_that_excludes_zero() -> None:
    planted = harms(simulated(seed=1, small_bias=0.4), policy(), NAMES)
    assert {each.alarm for each in planted} == {True, False}
    for each in (*FOUND, *planted):
        low, high = each.estimate.low, each.estimate.high
        assert low is not None
        assert high is not None
        assert each.alarm == (low > 0 or high < 0)
        assert each.words.endswith(", alarm" if each.alarm else "no alarm")
        ends = each.words.split("(")[1].split(")")[0].split(" to ")
        assert [float(end) for end in ends] == pytest.approx([low, high], abs=0.06 * (high - low))


def test_small_names_forecast_too_low_are_found_with_their_bias() -> None:
    planted = harms(simulated(seed=1, small_bias=0.25), policy(), NAMES)
    finding = one(planted, "size", "small", "log_relative_error")
    assert finding.alarm
    assert finding.estimate.value == pytest.approx(np.log(0.75), abs=0.05)


def without_the_dead() -> pl.DataFrame:
    return MARKET.filter(pl.col("listing_status") == "listed")


def unseen(found: tuple[HarmFinding, ...]) -> HarmFinding:
    (finding,) = [each for each in found if each.harm == "survivorship"]
    return finding


def test_where_no_name_was_delisted_survivorship_cannot_be_seen() -> None:
    finding = unseen(harms(without_the_dead(), policy(), NAMES))
    assert (finding.alarm, finding.estimate.value) == (None, None)
    assert finding.words == "cannot be seen: no instrument here was delisted later"


def test_an_audit_without_listing_status_says_that_it_cannot_see_survivorship() -> None:
    config = policy(attributes=["size"])
    finding = unseen(harms(MARKET, config, NAMES))
    assert finding.words == "cannot be seen: the audit has no attribute listing_status"


def test_a_gap_over_too_few_blocks_of_time_cannot_be_told_and_costs_the_others_nothing() -> None:
    def eras(config: AuditConfig) -> Counter[bool | None]:
        found = harms(MARKET, config, NAMES)
        return Counter(each.alarm for each in found if each.attribute == "era")

    assert None not in eras(policy(minimum_blocks=20))
    assert set(eras(policy(minimum_blocks=21))) == {None}
    wide, narrow = (
        one(harms(MARKET, policy(minimum_blocks=least), NAMES), "size", "small", "skill_mae")
        for least in (20, 21)
    )
    assert (narrow.estimate.high or 0) - (narrow.estimate.low or 0) < (
        (wide.estimate.high or 0) - (wide.estimate.low or 0)
    )


def test_the_order_of_rows_changes_no_finding() -> None:
    shuffled = harms(MARKET.sample(fraction=1.0, shuffle=True, seed=2), policy(), NAMES)
    for before, after in zip(FOUND, shuffled, strict=True):
        assert before.alarm == after.alarm
        assert after.estimate.low == pytest.approx(before.estimate.low, abs=1e-9)
