"""A generation of scores is published only if it is whole and like the release."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.validation.audit_examples import logistic, policy
from validation.config import AuditConfig
from validation.evidence import (
    Measurement,
    PredictionEvidence,
    dump_evidence,
    load_prediction_evidence,
)
from validation.prediction_audit import audit_scores, population_stability_index
from validation.prediction_gate import judge_predictions
from validation.prediction_readers import predictions_for_readers

COUNTS = {"events": 10_000, "unknown_code_events": 100}


def scored(seed: int, rows: int = 2000, shift: float = 0.0, **columns: Any) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "subject_id": np.arange(rows),
            "score": logistic(rng.normal(-2.0 + shift, 1.0, rows)),
            "sex": rng.choice(["f", "m"], rows),
            "age_band": rng.choice(["18-44", "45-64", "65+"], rows),
            "share_missing": rng.uniform(0.1, 0.5, rows),
        }
    )
    return frame.with_columns(**columns)


REFERENCE = scored(1)


def audit(
    scores: pl.DataFrame,
    reference: pl.DataFrame = REFERENCE,
    counts: dict[str, int] | None = None,
    config: AuditConfig | None = None,
) -> PredictionEvidence:
    chosen = COUNTS if counts is None else counts
    return audit_scores(scores, reference, chosen, config or policy(), study="example")


def verdict_and_reasons(evidence: PredictionEvidence) -> tuple[str, str]:
    assert evidence.gate is not None
    return evidence.gate.verdict, " | ".join(evidence.gate.reasons)


def test_a_generation_like_its_release_passes() -> None:
    assert verdict_and_reasons(audit(scored(2))) == ("pass", "")


def test_what_was_measured_is_in_the_evidence() -> None:
    found = {
        (each.name, each.group, each.level): each.value for each in audit(scored(2)).measurements
    }
    assert found["rows", "overall", None] == 2000
    assert found["unknown_code_share", "overall", None] == 0.01
    assert found["missing_share", "overall", None] == pytest.approx(0.3, abs=0.01)
    women = [
        (frame.filter(pl.col("sex") == "f")["score"] >= 0.2).mean()
        for frame in (scored(2), REFERENCE)
    ]
    expected = np.subtract(*np.array(women, dtype=np.float64))
    assert found["selection_rate_change", "sex", "f"] == pytest.approx(expected)


WOMEN_NOW_SELECTED = scored(
    2, score=pl.when(pl.col("sex") == "f").then(pl.col("score") ** 0.5).otherwise("score")
)

FAILING: dict[str, tuple[Callable[[], PredictionEvidence], str]] = {
    "too few rows": (lambda: audit(scored(2, rows=99)), "rows: 99, must be at least 100"),
    "a score above 1": (
        lambda: audit(scored(2).with_columns(score=pl.col("score") * 3)),
        "scores_null_or_outside_0_1",
    ),
    "a score that is NaN": (
        lambda: audit(scored(2, score=pl.lit(float("nan")))),
        "scores_null_or_outside_0_1: 2000",
    ),
    "no score": (
        lambda: audit(scored(2, score=pl.lit(None, pl.Float64))),
        "scores_null_or_outside_0_1: 2000",
    ),
    "a subject scored twice": (
        lambda: audit(scored(2, subject_id=pl.lit(7))),
        "subjects_scored_twice: 1999",
    ),
    "unknown codes": (
        lambda: audit(scored(2), counts={"events": 100, "unknown_code_events": 6}),
        "unknown_code_share: 0.06, must be at most 0.05",
    ),
    "missing data": (
        lambda: audit(scored(2, share_missing=pl.lit(0.6))),
        "missing_share: 0.6, must be at most 0.5",
    ),
    "shifted scores": (lambda: audit(scored(2, shift=1.0)), "score_shift_psi"),
    "one group selected more": (lambda: audit(WOMEN_NOW_SELECTED), "sex f: "),
}


@pytest.mark.parametrize("harm", FAILING)
def test_a_generation_fails_with(harm: str) -> None:
    make, words = FAILING[harm]
    verdict, reasons = verdict_and_reasons(make())
    assert verdict == "fail"
    assert words in reasons


UNTOLD: dict[str, tuple[Callable[[], PredictionEvidence], str]] = {
    "a reference": (lambda: audit(scored(2), REFERENCE.clear()), "score_shift_psi: cannot tell"),
    "reference scores": (
        lambda: audit(scored(2), REFERENCE.drop("score")),
        "score_shift_psi: cannot tell, could not be measured (ColumnNotFoundError)",
    ),
    "an attribute": (lambda: audit(scored(2).drop("sex")), "selection_rate_change of sex was not"),
    "missingness": (
        lambda: audit(scored(2).drop("share_missing")),
        "missing_share: cannot tell, could not be measured",
    ),
    "whole missingness": (
        lambda: audit(scored(2, share_missing=pl.lit(None, pl.Float64))),
        "missing_share: cannot tell, is not a finite number",
    ),
    "counts": (lambda: audit(scored(2), counts={}), "unknown_code_share: cannot tell"),
    "any event": (
        lambda: audit(scored(2), counts={"events": 0, "unknown_code_events": 0}),
        "unknown_code_share: cannot tell",
    ),
    "counts that agree": (
        lambda: audit(scored(2), counts={"events": 5, "unknown_code_events": 6}),
        "unknown_code_share: cannot tell",
    ),
    "subjects' names": (
        lambda: audit(scored(2).drop("subject_id")),
        "subjects_scored_twice: cannot tell",
    ),
    "a group that the release saw": (
        lambda: audit(scored(2).with_columns(sex=pl.col("sex").replace("m", "x"))),
        "sex x: cannot tell, fewer than 100 subjects, then or now",
    ),
}


@pytest.mark.parametrize("missing", UNTOLD)
def test_the_gate_of_a_generation_closes_without(missing: str) -> None:
    make, words = UNTOLD[missing]
    verdict, reasons = verdict_and_reasons(make())
    assert verdict == "cannot_tell"
    assert words in reasons


def lines_that_fail(evidence: PredictionEvidence) -> list[str]:
    assert evidence.gate is not None
    return [line.line for line in evidence.gate.lines if line.verdict == "fail"]


def test_one_bad_score_among_thousands_is_one_too_many() -> None:
    one = pl.when(pl.col("subject_id") == 5).then(pl.lit(None)).otherwise("score").alias("score")
    assert lines_that_fail(audit(scored(2).with_columns(one))) == ["scores_null_or_outside_0_1"]


def test_one_subject_scored_twice_is_one_too_many() -> None:
    one = pl.when(pl.col("subject_id") == 5).then(6).otherwise("subject_id").alias("subject_id")
    assert lines_that_fail(audit(scored(2).with_columns(one))) == ["subjects_scored_twice"]


def test_a_line_names_its_limits_and_what_came_of_it() -> None:
    gate = audit(scored(2)).gate
    assert gate is not None
    words = {(line.line, line.group, line.level): line.words for line in gate.lines}
    assert words["rows", "overall", None] == "2000, must be at least 100: holds"
    assert words["subjects_scored_twice", "overall", None] == "0, must be at most 0: holds"
    assert words["selection_rate_change", "sex", "f"].startswith("sex f: ")
    assert words["selection_rate_change", "sex", "f"].endswith("between -0.1 and 0.1: holds")


def test_an_empty_generation_is_refused() -> None:
    assert verdict_and_reasons(audit(scored(2).clear()))[0] == "fail"


def test_a_group_too_small_then_and_now_is_named_and_not_judged() -> None:
    rare = pl.when(pl.col("subject_id") < 20).then(pl.lit("x")).otherwise("sex")
    found = audit(scored(2, sex=rare), scored(1, sex=rare))
    assert verdict_and_reasons(found)[0] == "pass"
    assert found.not_judged == ("sex x: fewer than 100 subjects, then and now",)


@pytest.mark.parametrize("name", sorted({each.name for each in audit(scored(2)).measurements}))
def test_leaving_out_a_measurement_closes_the_gate(name: str) -> None:
    whole = audit(scored(2))
    kept = tuple(each for each in whole.measurements if each.name != name)
    verdict = judge_predictions(whole.model_copy(update={"measurements": kept}), policy())
    assert not verdict.is_open
    assert f"{name} of overall was not measured" in verdict.reasons


@pytest.mark.parametrize("attribute", ["sex", "age_band"])
def test_leaving_out_an_attribute_closes_the_gate(attribute: str) -> None:
    whole = audit(scored(2))
    kept = tuple(each for each in whole.measurements if each.group != attribute)
    verdict = judge_predictions(whole.model_copy(update={"measurements": kept}), policy())
    assert verdict.reasons == (f"selection_rate_change of {attribute} was not measured",)


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "twice": ({"measurements": audit(scored(2)).measurements * 2}, "there twice"),
    "unknown": (
        {"measurements": (*audit(scored(2)).measurements, Measurement(name="luck", value=1.0))},
        "could not judge",
    ),
    "NaN": (
        {
            "measurements": (
                *audit(scored(2)).measurements[1:],
                Measurement.model_construct(name="rows", value=float("nan")),
            )
        },
        "rows: cannot tell",
    ),
    "another policy": ({"policy": policy(threshold=0.9)}, "another policy"),
    "no list": ({"measurements": None}, "could not judge"),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_evidence_closes_the_gate(hostile: str) -> None:
    changes, words = HOSTILE[hostile]
    verdict = judge_predictions(audit(scored(2)).model_copy(update=changes), policy())
    assert not verdict.is_open
    assert words in " ".join(verdict.reasons)


@pytest.mark.parametrize(
    "limit",
    [
        "minimum_rows",
        "max_unknown_code_share",
        "max_missing_share",
        "max_score_shift_psi",
        "max_selection_rate_change",
    ],
)
@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_limit_that_is_none_closes_the_gate(limit: str, nothing: float | None) -> None:
    limits = policy().predictions.model_copy(update={limit: nothing})
    odd = policy().model_copy(update={"predictions": limits})
    measured = audit(scored(2)).model_copy(update={"policy": odd})
    assert not judge_predictions(measured, odd).is_open


def test_an_audit_that_crashed_or_has_no_policy_is_a_closed_gate() -> None:
    assert judge_predictions(None, policy()).reasons == (
        "there is no evidence: the audit did not finish",
    )
    assert judge_predictions(audit(scored(2)), None).reasons == ("the study has no policy",)


def test_evidence_of_a_generation_survives_its_file(tmp_path: Path) -> None:
    evidence = audit(scored(2))
    dump_evidence(evidence, tmp_path / "evidence.json")
    assert load_prediction_evidence(tmp_path / "evidence.json") == evidence


# ---- thresholds of groups, and few people ----------------------------------------------------


def changes_of(evidence: PredictionEvidence) -> dict[tuple[str, str | None], Measurement]:
    return {
        (each.group, each.level): each
        for each in evidence.measurements
        if each.name == "selection_rate_change"
    }


def decided(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(threshold=pl.col("sex").replace_strict({"f": 0.05, "m": 0.4}))


def test_a_row_is_selected_by_its_own_threshold_then_and_now() -> None:
    found = changes_of(audit(decided(scored(2)), decided(REFERENCE)))
    for sex, limit in (("f", 0.05), ("m", 0.4)):
        now, before = (
            (frame.filter(pl.col("sex") == sex)["score"].to_numpy() >= limit).mean()
            for frame in (scored(2), REFERENCE)
        )
        assert found["sex", sex].value == pytest.approx(now - before)


@pytest.mark.parametrize("scores_have_it", [True, False])
def test_thresholds_on_one_side_alone_cannot_be_compared(scores_have_it: bool) -> None:
    both = scored(2), REFERENCE
    scores, reference = (
        (decided(both[0]), both[1]) if scores_have_it else (both[0], decided(both[1]))
    )
    verdict, reasons = verdict_and_reasons(audit(scores, reference))
    assert verdict == "cannot_tell"
    assert "selection_rate_change of sex was not measured" in reasons


def with_few_selected(selected: int, unselected: int) -> pl.DataFrame:
    """300 men, some of them selected; of 1,700 women about as many as ever."""
    number = pl.col("subject_id")
    men = number < 300
    chosen = pl.when(number < selected).then(0.9).otherwise(0.01)
    spared = pl.when(number < unselected).then(0.01).otherwise(0.9)
    return scored(2).with_columns(
        sex=pl.when(men).then(pl.lit("m")).otherwise(pl.lit("f")),
        score=pl.when(men).then(chosen if selected else spared).otherwise("score"),
    )


@pytest.mark.parametrize(
    ("selected", "unselected", "is_withheld"),
    [(10, 0, True), (0, 10, True), (1, 0, True), (11, 0, False), (0, 11, False), (300, 0, False)],
)
def test_a_rate_that_gives_few_people_away_is_judged_and_not_read(
    selected: int, unselected: int, is_withheld: bool
) -> None:
    evidence = audit(with_few_selected(selected, unselected))
    own, read = changes_of(evidence), changes_of(predictions_for_readers(evidence))
    for sex in ("f", "m"):
        exact = own["sex", sex].value
        assert exact is not None
        shown = read["sex", sex].value
        assert shown == (None if is_withheld else round(exact, 3))
    gate = predictions_for_readers(evidence).gate
    assert gate is not None
    said = " ".join([*gate.reasons, *(line.words for line in gate.lines)])
    values = [line.estimate.value for line in gate.lines if line.group == "sex"]
    assert (values == [None, None]) == is_withheld
    assert (f"{own['sex', 'm'].value:.3f}" not in said) == is_withheld
    # Of everybody nothing is hidden, and of groups nothing is exact.
    assert read["overall", "all"] == own["overall", "all"]
    assert f"{own['age_band', '65+'].value:.4g}" not in said
    verdicts = [line.verdict for line in gate.lines]
    assert evidence.gate is not None
    assert verdicts == [line.verdict for line in evidence.gate.lines]


def test_few_of_a_group_too_small_to_compare_would_follow_from_all_the_others() -> None:
    rare = pl.when(pl.col("subject_id") < 50).then(pl.lit("x")).otherwise("sex")
    few = pl.when(pl.col("subject_id") < 5).then(0.9).when(pl.col("subject_id") < 50).then(0.01)
    now = scored(2, sex=rare).with_columns(score=few.otherwise("score"))
    found = changes_of(audit(now, scored(1, sex=rare)))
    assert found["sex", "f"].withheld
    assert found["sex", "m"].withheld
    assert not found["age_band", "65+"].withheld


# ---- population stability index --------------------------------------------------------------


def test_the_index_equals_its_hand_computed_value() -> None:
    # Reference halves at 0.5; now a quarter lies below: (.25-.5)ln(.25/.5) + (.75-.5)ln(.75/.5)
    expected = np.array([0.2, 0.4, 0.6, 0.8])
    actual = np.array([0.3, 0.7, 0.8, 0.9])
    value = -0.25 * np.log(0.5) + 0.25 * np.log(1.5)
    assert population_stability_index(expected, actual, bins=2) == pytest.approx(value)


def test_an_empty_bin_counts_as_half_a_subject() -> None:
    expected = np.array([0.2, 0.4, 0.6, 0.8])
    actual = np.array([0.7, 0.8, 0.9, 0.95])
    low, high = 0.5 / 4.5, 4 / 4.5
    value = (low - 0.5) * np.log(low / 0.5) + (high - 0.5) * np.log(high / 0.5)
    assert population_stability_index(expected, actual, bins=2) == pytest.approx(value)


def test_the_same_scores_have_not_shifted() -> None:
    scores = REFERENCE["score"].to_numpy()
    assert population_stability_index(scores, scores, bins=10) == 0.0


def test_a_constant_reference_has_one_cut_and_still_sees_a_shift() -> None:
    constant = np.full(100, 0.3)
    assert population_stability_index(constant, constant, bins=10) == 0.0
    assert population_stability_index(constant, np.full(100, 0.1), bins=10) > 1.0


@pytest.mark.parametrize("bad", [np.array([]), np.array([0.2, np.nan])])
def test_an_index_needs_scores_on_both_sides(bad: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    good = np.array([0.1])
    for expected, actual in ((bad, good), (good, bad)):
        with pytest.raises(ValueError, match="needs scores on both sides"):
            population_stability_index(expected, actual, bins=2)
