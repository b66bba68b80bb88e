import math
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.validation.audit_examples import gating_line, policy, simulated
from validation.audit import audit_predictions_table
from validation.config import AuditConfig
from validation.data_evidence import FlowGroup, FlowStep
from validation.estimates import Estimate
from validation.groups import Group, UnauditableTable
from validation.patient_harms.family import judged
from validation.patient_harms.flow import exclusions
from validation.patient_harms.harms import patient_harms
from validation.patient_harms.ratios import Ratio, untold
from validation.patient_harms.records import PatientHarm, PatientHarms


def looked_for(
    predictions: pl.DataFrame, config: AuditConfig | None = None, **inputs: Any
) -> PatientHarms:
    config = config or by_sex()
    populations = audit_predictions_table(predictions, config, challengers=())
    return patient_harms(predictions, populations, config, **inputs)


def by_sex(**changes: Any) -> AuditConfig:
    return policy(attributes=["sex"], crossings=[], **changes)


def of(found: PatientHarms, quantity: str, level: str) -> PatientHarm:
    chosen = [e for e in found.findings if (e.quantity, e.level) == (quantity, level)]
    assert len(chosen) == 1
    return chosen[0]


def known(people: int = 4000, seed: int = 0) -> pl.DataFrame:
    """Nobody is censored and every weight is 1, so that tables can be counted by hand."""
    frame = simulated(seed=seed, subjects=people)
    label = pl.col("label").fill_null(0.0)
    return frame.with_columns(label=label, weight=pl.lit(1.0), split=pl.lit("test"))


def test_alerts_are_counted_by_hand() -> None:
    women = [(1, 0.9)] * 60 + [(0, 0.9)] * 140 + [(0, 0.1)] * 200 + [(1, 0.1)] * 50
    men = [(1, 0.9)] * 55 + [(0, 0.9)] * 55 + [(0, 0.1)] * 390
    rows = [("female", *row) for row in women] + [("male", *row) for row in men]
    frame = pl.DataFrame(
        {
            "subject_id": np.arange(len(rows)),
            "cluster": np.arange(len(rows)),
            "split": "test",
            "label": [float(y) for _, y, _ in rows],
            "weight": 1.0,
            "sex": [sex for sex, _, _ in rows],
            "score": [score for *_, score in rows],
        }
    )
    found = looked_for(frame)
    expected = {
        ("alerts_per_100", "female"): (200 / 4.5, 110 / 5.0),
        ("alerts_per_case", "female"): (200 / 60, 110 / 55),
        ("false_alerts_per_100", "male"): (55 / 5.0, 140 / 4.5),
    }
    for (quantity, level), (value, rest) in expected.items():
        one = of(found, quantity, level)
        assert one.value.value == pytest.approx(value)
        assert one.rest.value == pytest.approx(rest)
        assert one.difference.value == pytest.approx(value - rest)
        assert one.alarm is True
        assert f"{value:.1f} (" in one.words


def test_a_burden_planted_on_women_is_found_and_no_other() -> None:
    frame = known().with_columns(
        score=pl.when((pl.col("sex") == "female") & (pl.col("label") == 0.0))
        .then(pl.col("score") * 1.6)
        .otherwise(pl.col("score"))
        .clip(0, 0.99)
    )
    frame = frame.with_columns(score_cross_fitted="score")
    found = looked_for(frame)
    assert of(found, "false_alerts_per_100", "female").alarm
    assert (of(found, "alerts_per_case", "female").difference.low or 0) > 0
    assert not of(looked_for(known()), "alerts_per_case", "female").alarm


def test_fewer_tests_of_men_are_found() -> None:
    frame = known()
    rng = np.random.default_rng(1)
    mean = np.where(frame["sex"] == "male", 4.0, 6.0)
    tests = rng.poisson(mean)
    frame = frame.with_columns(tests=pl.Series(tests), share_missing=pl.Series(1 / (1 + tests)))
    found = looked_for(frame)
    men = of(found, "tests_per_subject", "male")
    assert men.alarm
    assert men.difference.value == pytest.approx(
        float(tests[mean == 4].mean() - tests[mean == 6].mean())
    )
    assert (of(found, "channels_never_measured", "male").difference.low or 0) > 0
    alike = frame.with_columns(tests=pl.Series(rng.poisson(5.0, frame.height)))
    assert not of(looked_for(alike), "tests_per_subject", "male").alarm


def test_censoring_that_falls_on_men_is_found() -> None:
    frame = known()
    lost = (frame["sex"] == "male").to_numpy() & (np.arange(frame.height) % 3 == 0)
    frame = frame.with_columns(
        label=pl.Series(np.where(lost, np.nan, frame["label"])).fill_nan(None),
        weight=pl.Series(np.where(lost, 0.0, 1.0)),
    )
    found = looked_for(frame, by_sex(minimum_positives=12))
    # No woman was lost: zero of them cannot be told from few, so neither sex is shown.
    assert of(found, "censored_per_100", "male").alarm is None
    some = frame.with_columns(
        pl.when((pl.col("sex") == "female") & (pl.col("subject_id") % 20 == 0))
        .then(None)
        .otherwise(pl.col("label"))
        .alias("label")
    ).with_columns(weight=pl.col("label").is_not_null().cast(pl.Float64))
    found = looked_for(some, by_sex(minimum_positives=12))
    assert of(found, "censored_per_100", "male").alarm


def alternatives(frame: pl.DataFrame, missed: pl.Series) -> pl.DataFrame:
    """The declared label, but that it also counts the cases that were missed."""
    label = pl.Series(np.where(missed, 1.0, frame["label"]))
    return pl.DataFrame(
        {
            "title": "treated, diagnosed or not",
            "subject_id": frame["subject_id"],
            "label": label,
            "weight": 1.0,
        }
    )


def test_a_label_that_misses_women_s_cases_is_found() -> None:
    frame = known()
    rng = np.random.default_rng(3)
    truly = frame["label"].to_numpy() == 1.0
    unseen = truly & (frame["sex"] == "female").to_numpy() & (rng.random(frame.height) < 0.5)
    declared = frame.with_columns(label=pl.Series(np.where(unseen, 0.0, frame["label"])))
    other = alternatives(declared, pl.Series(unseen))
    config = by_sex(
        gating=[
            gating_line(),
            gating_line(line="oe", metric="observed_expected", group="sex", between=[-1, 1]),
            gating_line(line="no worse", against="best_challenger", at_least=-0.02),
        ]
    )
    found = looked_for(declared, config, alternatives=other)
    women = of(found, "cases_per_declared_case", "female")
    seen = truly & (frame["sex"] == "female").to_numpy()
    assert women.value.value == pytest.approx(seen.sum() / (seen & ~unseen).sum())
    assert women.rest.value == pytest.approx(1.0)
    assert women.alarm
    [label] = found.other_labels
    moved = {gap.level: gap.moved for gap in label.gaps}
    assert (moved["female"] or 0) > 0.2
    assert label.observed_expected.value is not None
    assert label.observed_expected.value > (found.declared_observed_expected.value or 0)


def test_the_declared_label_under_another_name_moves_nothing() -> None:
    frame = known()
    nobody = pl.Series(np.zeros(frame.height, dtype=bool))
    found = looked_for(frame, alternatives=alternatives(frame, nobody))
    [label] = found.other_labels
    assert label.gaps
    assert {gap.moved for gap in label.gaps} == {0.0}
    assert label.auroc.value == found.declared_auroc.value
    assert all(e.alarm is False for e in found.findings if e.harm == "label_choice")


def test_a_label_that_leaves_somebody_out_is_refused() -> None:
    frame = known()
    other = alternatives(frame, pl.Series(np.zeros(frame.height, dtype=bool)))[:-1]
    with pytest.raises(UnauditableTable, match="not one row for each subject"):
        looked_for(frame, alternatives=other)


def test_without_weights_the_gap_is_that_of_plain_counts() -> None:
    frame = simulated(subjects=4000).with_columns(split=pl.lit("test"))
    found = looked_for(frame)
    [gap] = [g for g in found.unweighted if g.level == "male" and g.metric == "tpr"]
    alert = frame.filter(label=1.0).group_by("sex").agg((pl.col("score") >= 0.2).mean())
    rate = dict(alert.iter_rows())
    assert gap.otherwise.value == pytest.approx(rate["male"] - rate["female"])
    assert gap.declared.value != gap.otherwise.value


def test_calibration_is_ranked_by_how_far_it_is_from_one() -> None:
    frame = known().with_columns(
        score_cross_fitted=pl.when(pl.col("age_band") == "65+")
        .then(pl.col("score") * 0.1)
        .otherwise(pl.col("score"))
    )
    found = looked_for(frame, policy(crossings=[]))
    ranked = [e for e in found.findings if e.quantity == "observed_expected"]
    distances = [abs(math.log(e.value.value or 1)) for e in ranked]
    assert ranked[0].level == "65+"
    assert ranked[0].alarm
    assert all(a >= b for a, b in pairwise(distances))


def test_no_finding_alarms_without_an_interval() -> None:
    bare = PatientHarm(
        harm="alert_burden",
        quantity="alerts_per_100",
        attribute="sex",
        level="male",
        value=Estimate(value=90.0),
        difference=Estimate(value=80.0, standard_error=0.1),
        words="",
    )
    [found] = judged([bare])
    assert found.alarm is None
    assert "cannot tell" in found.words


def test_two_levels_are_one_hypothesis_and_the_family_is_bonferronis() -> None:
    def gap(level: str) -> PatientHarm:
        return PatientHarm(
            harm="alert_burden", quantity="alerts_per_100", attribute="sex", level=level,
            value=Estimate(value=3.0, low=2.0, high=4.0),
            difference=Estimate(value=2.1, low=0.1, high=4.1, standard_error=1.0), words="",
        )  # fmt: skip

    alone = judged([gap("male"), gap("female")])
    assert {e.alarm for e in alone} == {True}
    low = alone[0].difference.simultaneous_low
    assert low == pytest.approx(0.1)
    others = [gap("male").model_copy(update={"attribute": str(i)}) for i in range(9)]
    wider = judged([gap("male"), *others])[0]
    assert wider.difference.simultaneous_low == pytest.approx(2.1 - 2.8070, abs=1e-3)
    assert wider.alarm is False
    # Two told levels beside a third that is too small are no mirrors: z(1 - .05 / 4) = 2.2414.
    small = gap("unknown").model_copy(update={"difference": Estimate(reason="too few")})
    beside = judged([gap("male"), gap("female"), small])
    assert beside[0].difference.simultaneous_low == pytest.approx(2.1 - 2.2414, abs=1e-4)
    assert [e.alarm for e in beside] == [False, False, None]


# ---- exclusion --------------------------------------------------------------------------------


def step(gone: dict[str, int | None], left: dict[str, int | None]) -> FlowStep:
    def groups(counts: dict[str, int | None]) -> tuple[FlowGroup, ...]:
        return tuple(FlowGroup(attribute="sex", level=k, subjects=n) for k, n in counts.items())

    return FlowStep(
        step="s", words="w", excluded=0, remaining=0,
        excluded_groups=groups(gone), remaining_groups=groups(left),
    )  # fmt: skip


def test_who_was_excluded_is_counted_over_all_steps() -> None:
    flow = [
        step({"female": 100, "male": 20}, {"female": 900, "male": 980}),
        step({"female": 100, "male": 30}, {"female": 800, "male": 950}),
    ]
    found = {each.level: each for each in judged(list(exclusions(flow, ["sex"])))}
    assert found["female"].value.value == pytest.approx(20.0)
    assert found["female"].difference.value == pytest.approx(15.0)
    # Wilson's interval of 200 of 1000.
    assert found["female"].value.low == pytest.approx(17.64, abs=0.01)
    assert found["female"].value.high == pytest.approx(22.59, abs=0.01)
    assert found["female"].alarm


def test_a_hidden_count_of_the_flow_stays_hidden() -> None:
    flow = [step({"female": 100, "male": None}, {"female": 900, "male": None})]
    for each in judged(list(exclusions(flow, ["sex"]))):
        assert each.value.value is None
        assert each.alarm is None
        assert "fewer than 11" in each.words


# ---- disclosure -------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=2, max_size=6),
    st.integers(10, 30),
)
def test_no_small_cell_is_left_over_by_subtraction(
    cells: list[tuple[int, int]], least: int
) -> None:
    event = np.concatenate([np.repeat([True, False], pair) for pair in cells])
    level = np.repeat(np.arange(len(cells)), [sum(pair) for pair in cells])
    groups = [
        Group("a", str(i), np.flatnonzero(level == i), np.flatnonzero(level != i))
        for i in range(len(cells))
    ]
    sums = event.astype(np.float64)
    each = Ratio("r", sums, np.ones_like(sums), 1.0, event, ~event)
    hidden = untold(each, groups, least, 11)
    for cell in (0, 1):
        for i, pair in enumerate(cells):
            if str(i) not in hidden:
                assert pair[cell] >= 11
        small = [i for i, pair in enumerate(cells) if 0 < pair[cell] < 11]
        withheld = [pair[cell] for i, pair in enumerate(cells) if str(i) in hidden]
        if small and len(withheld) < len(cells):
            # The attacker's best bound on any withheld cell is what all of them add up to.
            assert sum(withheld) >= 11
            assert len(withheld) > 1


def test_a_group_of_one_is_in_no_number() -> None:
    frame = known().with_columns(
        sex=pl.when(pl.col("subject_id") == 0).then(pl.lit("<b>x</b>")).otherwise("sex"),
        tests=pl.lit(3.0),
    )
    found = looked_for(frame)
    for each in found.findings:
        if each.level == "<b>x</b>":
            assert each.value.value is None
            assert each.difference.value is None
            assert each.alarm is None
