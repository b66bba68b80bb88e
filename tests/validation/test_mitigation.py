from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.validation.audit_examples import CHALLENGERS, policy, simulated
from validation.audit import audit_predictions_table
from validation.evidence import Evidence, GroupPerformance, PopulationEvidence
from validation.groups import UnauditableTable
from validation.mitigation.config import GroupThresholds, MitigationConfig
from validation.mitigation.duties import broken_mitigation, is_of_mitigation
from validation.mitigation.mitigated import (
    AT_THRESHOLD,
    before_and_after,
    decided_scores,
    mitigated_populations,
)
from validation.mitigation.records import BeforeAfter, MitigationEvidence, ThresholdTable
from validation.mitigation.table import thresholds_of
from validation.mitigation.thresholds import RATES, fit_thresholds
from validation.ranking import FloatArray

POLICY = policy(crossings=[], minimum_positives=20)
STUDY = 0.2


def unfair(subjects: int = 8000) -> pl.DataFrame:
    """Men's risks are too low: at one threshold fewer of their cases are found."""
    return simulated(subjects=subjects, men_scored_lower=0.8)


def table_of(frame: pl.DataFrame, constraint: str = "true_positive_rate_parity") -> ThresholdTable:
    config = GroupThresholds.model_validate({"constraint": constraint})
    return fit_thresholds(frame, "sex", STUDY, config)


def rates(frame: pl.DataFrame, limits: FloatArray) -> dict[tuple[str, str], float]:
    """Weighted rates by sex, counted row by row."""
    found: dict[tuple[str, str], float] = {}
    for sex in ("female", "male"):
        sums = dict.fromkeys(("case", "other", "tp", "fp"), 0.0)
        columns = frame.select("sex", "label", "weight", "score").iter_rows()
        for (own, y, w, s), limit in zip(columns, limits, strict=True):
            if own != sex or w == 0:
                continue
            sums["case" if y else "other"] += w
            if s >= limit:
                sums["tp" if y else "fp"] += w
        found["tpr", sex] = sums["tp"] / sums["case"]
        found["fpr", sex] = sums["fp"] / sums["other"]
        everybody = sums["case"] + sums["other"]
        found["selection_rate", sex] = (sums["tp"] + sums["fp"]) / everybody
    return found


# ---- the table --------------------------------------------------------------------------------


@pytest.mark.parametrize("constraint", list(RATES))
def test_each_level_gets_one_threshold_and_the_rates_come_together(constraint: str) -> None:
    frame = unfair().with_columns(split=pl.lit("validation"))
    table = table_of(frame, constraint)
    before = rates(frame, np.full(frame.height, STUDY))
    after = rates(frame, thresholds_of(frame["sex"], table))
    for name in table.target:
        assert abs(before[name, "male"] - before[name, "female"]) > 0.1
        far = 0.06 if constraint == "equalized_odds" else 0.02
        assert abs(after[name, "male"] - after[name, "female"]) < far
        for sex in ("female", "male"):
            assert after[name, sex] == pytest.approx(table.target[name], abs=far)


def test_no_threshold_of_a_group_is_nearer_to_the_target() -> None:
    frame = unfair(2000).with_columns(split=pl.lit("validation"))
    table = table_of(frame)
    for group in table.groups:
        own = frame.filter(sex=group.level)
        reached = rates(frame, thresholds_of(frame["sex"], table))["tpr", group.level]
        case = own.filter((pl.col("label") == 1) & (pl.col("weight") > 0))
        score, weight = case["score"].to_numpy(), case["weight"].to_numpy()
        for cut in own["score"].to_list():
            rate = float(weight[score >= cut].sum() / weight.sum())
            assert abs(reached - table.target["tpr"]) <= abs(rate - table.target["tpr"]) + 1e-9


def test_only_the_validation_split_is_looked_at() -> None:
    frame = unfair()
    others = pl.col("split") != "validation"
    flipped = pl.when(others).then(1.0 - pl.col("label")).otherwise("label")
    again = frame.with_columns(label=flipped, score=pl.when(others).then(0.5).otherwise("score"))
    assert table_of(frame) == table_of(again)


def test_the_table_is_the_same_each_time_and_in_any_order_of_rows() -> None:
    frame = unfair(3000)
    assert table_of(frame) == table_of(frame.sample(fraction=1.0, shuffle=True, seed=1))


def test_a_level_with_few_cases_or_an_unknown_one_has_the_overall_threshold() -> None:
    frame = unfair().with_columns(
        sex=pl.when(pl.col("subject_id") < 50).then(pl.lit("other")).otherwise("sex")
    )
    table = table_of(frame)
    [other] = [group for group in table.groups if group.level == "other"]
    assert (other.fitted, other.threshold) == (False, STUDY)
    levels = pl.Series(["other", "never seen", None])
    assert thresholds_of(levels, table).tolist() == [STUDY] * 3


# ---- the audit --------------------------------------------------------------------------------


def decided(frame: pl.DataFrame, limits: FloatArray) -> tuple[PopulationEvidence, ...]:
    moved = decided_scores(frame, limits, POLICY)
    return audit_predictions_table(moved, POLICY, challengers=CHALLENGERS)


def made(frame: pl.DataFrame, table: ThresholdTable, **changes: Any) -> Evidence:
    limits = thresholds_of(frame["sex"], table)
    plain = audit_predictions_table(frame, POLICY, challengers=CHALLENGERS)
    told = MitigationEvidence(
        kinds=("group_thresholds",), attribute="sex", least_selected_share=0.5, table=table
    )
    return Evidence(
        study="s",
        intended_use="u",
        policy=POLICY,
        populations=mitigated_populations(plain, decided(frame, limits)),
        mitigation=before_and_after(frame, None, limits, POLICY, told),
    ).model_copy(update=changes)


def test_a_levels_rates_are_told_to_two_decimals() -> None:
    frame = unfair(4000).with_columns(split=pl.lit("validation"))
    table = table_of(frame, "equalized_odds")
    known = frame.filter(pl.col("weight") > 0)
    by_hand = rates(known, thresholds_of(known["sex"], table))
    for group in table.groups:
        for name in ("tpr", "fpr"):
            said = f"{name} {by_hand[name, group.level]:.2f} (wanted {table.target[name]:.2f})"
            assert said in group.words


def test_a_rate_of_few_on_one_side_is_not_told() -> None:
    """Of level a whatever is chosen finds 20 of 25 cases, or all of them."""
    rows = [("a", 1, 0.8)] * 20 + [("a", 1, 0.2)] * 5 + [("a", 0, 0.1)] * 50
    rows += [("b", 1, 0.8)] * 13 + [("b", 1, 0.2)] * 12 + [("b", 0, 0.1)] * 50
    frame = pl.DataFrame(rows, schema=["sex", "label", "score"], orient="row")
    table = table_of(frame.with_columns(split=pl.lit("validation"), weight=1.0))
    words = {group.level: group.words for group in table.groups}
    assert words["a"].startswith("tpr not shown, too few on one side (wanted ")


def with_rates_withheld(told: Evidence) -> Evidence:
    """The same, but that every group's selection rate is for the auditor's role."""
    hidden = tuple(
        each.model_copy(
            update={
                "groups": tuple(
                    group.model_copy(update={"withheld": ("selection_rate",)})
                    for group in each.groups
                )
            }
        )
        for each in told.populations
    )
    return told.model_copy(update={"populations": hidden})


def test_a_refusal_says_no_share_that_is_for_the_auditor_alone() -> None:
    frame = unfair(4000)
    told = made(frame, with_thresholds(table_of(frame), female=0.55, male=0.55))
    reasons = list(broken_mitigation(with_rates_withheld(told)))
    assert all(is_of_mitigation(reason) for reason in reasons)
    of_men = [reason for reason in reasons if "sex male" in reason]
    assert of_men
    assert all("it selects far fewer of sex male than before; less" in each for each in of_men)
    assert not any("it selects far fewer of all" in reason for reason in reasons)


def effect(told: Evidence, metric: str, level: str, is_gap: bool = False) -> BeforeAfter:
    assert told.mitigation is not None
    [population] = [p for p in told.mitigation.populations if p.population == "cross_fitted"]
    [found] = [
        each
        for each in population.measured
        if (each.metric, each.level, each.is_gap) == (metric, level, is_gap)
    ]
    return found


def test_the_audit_judges_each_subject_by_its_own_threshold() -> None:
    frame = unfair()
    table = table_of(frame)
    told = made(frame, table)
    by_hand = rates(frame, thresholds_of(frame["sex"], table))
    plain = audit_predictions_table(frame, POLICY, challengers=CHALLENGERS)
    [found] = [p for p in told.populations if p.population == "cross_fitted"]
    for group in found.groups:
        if group.attribute == "sex":
            for name in ("tpr", "fpr", "selection_rate"):
                assert group.metrics[name].value == pytest.approx(by_hand[name, group.level])
    [gap] = [g for g in found.gaps if (g.metric, g.level) == ("tpr", "male")]
    wanted = by_hand["tpr", "male"] - by_hand["tpr", "female"]
    assert gap.estimate.value == pytest.approx(wanted)
    for name, value in found.overall.metrics.items():
        same = value == plain[1].overall.metrics[name]
        assert same is (name not in AT_THRESHOLD)


def test_before_and_after_tell_fairness_and_utility_and_nothing_is_broken() -> None:
    told = made(frame := unfair(), table_of(frame))
    gap = effect(told, "tpr", "male", is_gap=True)
    assert (gap.before.value or 0) < -0.15
    assert abs(gap.after.value or 0) < 0.5 * abs(gap.before.value or 0)
    assert (gap.change.low or 0) > 0
    benefit = effect(told, "net_benefit", "all")
    by_hand = rates(frame, np.full(frame.height, STUDY))
    men = effect(told, "tpr", "male")
    assert men.before.value == pytest.approx(by_hand["tpr", "male"])
    assert None not in (benefit.before.value, benefit.after.value, benefit.change.value)
    assert effect(told, "auroc", "all").change.value == 0.0
    assert list(broken_mitigation(told)) == []


def test_thresholds_that_are_the_studys_change_not_one_bit() -> None:
    frame = unfair(3000)
    plain = audit_predictions_table(frame, POLICY, challengers=CHALLENGERS)
    limits = np.full(frame.height, STUDY)
    assert decided_scores(frame, limits, POLICY).equals(frame)
    assert mitigated_populations(plain, decided(frame, limits)) == plain


def test_what_either_audit_hides_stays_hidden_in_the_one_that_is_read() -> None:
    frame = unfair(2000)
    plain = audit_predictions_table(frame, POLICY, challengers=CHALLENGERS)

    def hiding(*withheld: str, **counts: None) -> tuple[PopulationEvidence, ...]:
        def one(group: GroupPerformance) -> GroupPerformance:
            told = {"counts": group.counts.model_copy(update=counts), "withheld": withheld}
            return group.model_copy(update=told)

        return tuple(
            each.model_copy(update={"groups": tuple(one(group) for group in each.groups)})
            for each in plain
        )

    both = mitigated_populations(
        hiding("auroc", "tpr", positives=None), hiding("brier", "fpr", censored=None)
    )
    for population in both:
        for group in population.groups:
            assert set(group.withheld) == {"auroc", "tpr", "brier", "fpr"}
            assert (group.counts.positives, group.counts.censored) == (None, None)
            assert group.counts.subjects is not None


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_the_moved_score_selects_the_very_same_subjects(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 30))
    shares = st.floats(0.001, 0.999)
    limits = np.array(data.draw(st.lists(shares, min_size=count, max_size=count)))
    scores = np.array(data.draw(st.lists(shares, min_size=count, max_size=count)))
    apart = np.abs(scores - limits) > 1e-9
    frame = pl.DataFrame({"score": scores, "score_seed_0": scores, "prevalence": scores})
    moved = decided_scores(frame, limits, POLICY)
    for name in ("score", "score_seed_0"):
        selected = moved[name].to_numpy() >= STUDY
        assert (selected == (scores >= limits))[apart].all()
    assert moved["prevalence"].equals(frame["prevalence"])


def test_a_threshold_that_is_no_probability_is_refused() -> None:
    frame = unfair(100)
    with pytest.raises(UnauditableTable, match="not between 0 and 1"):
        decided_scores(frame, np.full(frame.height, 1.0), POLICY)


# ---- what the gate refuses ----------------------------------------------------------------------


def with_thresholds(table: ThresholdTable, **levels: float) -> ThresholdTable:
    groups = [
        group.model_copy(update={"threshold": levels.get(group.level, group.threshold)})
        for group in table.groups
    ]
    return table.model_copy(update={"groups": tuple(groups)})


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ({"female": 0.999, "male": 0.999}, "cannot be told|selecting nobody"),
        ({"male": 0.999}, "sex male.*(cannot be told|selecting nobody)"),
        ({"female": 0.55, "male": 0.55}, "of all, .*selecting nobody"),
    ],
)
def test_equality_by_selecting_nobody_is_refused(levels: dict[str, float], words: str) -> None:
    frame = unfair()
    told = made(frame, with_thresholds(table_of(frame), **levels))
    reasons = list(broken_mitigation(told))
    assert any(pl.Series([reason]).str.contains(words).item() for reason in reasons)


def test_accuracy_of_a_rare_outcome_selects_nobody_and_is_refused() -> None:
    frame = unfair()
    config = GroupThresholds(constraint="demographic_parity", objective="accuracy_score")
    told = made(frame, fit_thresholds(frame, "sex", STUDY, config))
    assert any("selecting nobody" in reason for reason in broken_mitigation(told))


def broken(told: Evidence, **changes: Any) -> list[str]:
    assert told.mitigation is not None
    changed = told.mitigation.model_copy(update=changes)
    return list(broken_mitigation(told.model_copy(update={"mitigation": changed})))


def test_hostile_evidence_of_a_mitigation_closes() -> None:
    frame = unfair(4000)
    told = made(frame, table := table_of(frame))
    assert told.mitigation is not None
    first = told.mitigation.populations[:1]
    unmeasured = tuple(
        p.model_copy(update={"measured": p.measured[:1]}) for p in told.mitigation.populations
    )
    nothing_fitted = tuple(g.model_copy(update={"fitted": False}) for g in table.groups)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"populations": ()}, "not compared with before"),
        ({"populations": first}, "in every population"),
        ({"populations": unmeasured}, "was not measured"),
        ({"table": None}, "no table"),
        ({"attribute": "age_band"}, "another attribute"),
        ({"table": table.model_copy(update={"overall": 0.4})}, "threshold than the study's"),
        ({"table": table.model_copy(update={"groups": nothing_fitted})}, "enough cases"),
        ({"table": table.model_copy(update={"groups": table.groups * 2})}, "twice"),
    ]
    for changes, words in cases:
        assert any(words in reason for reason in broken(told, **changes)), words
    assert list(broken_mitigation(told.model_copy(update={"mitigation": None}))) == []


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"attribute": "sex"}, "name a mitigation"),
        ({"attribute": "sex", "reweighing": True, "group_robust": {}}, "choose one"),
        ({"attribute": "sex", "group_thresholds": {"constraint": "luck"}}, "Input should be"),
        ({"attribute": "sex", "reweighing": True, "least_selected_share": 0}, "greater than 0"),
        ({"reweighing": True}, "Field required"),
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        MitigationConfig.model_validate(section)
