"""The gate opens for whole evidence on the allowed side, and for nothing else."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.validation.audit_examples import gating_line, policy, sound_data
from tests.validation.gate_examples import (
    CHALLENGER,
    GAP,
    VALUE,
    challenger,
    evidence,
    interval,
    line_of,
    population,
    together,
    with_gap,
    with_overall,
    with_population,
)
from validation.config import AuditConfig
from validation.data_evidence import CheckResult, DataEvidence, FileRows
from validation.estimates import Estimate
from validation.evidence import Evidence, GateVerdict
from validation.gate import judge

NAN = float("nan")


def test_the_gate_opens_when_every_line_passes() -> None:
    verdict = judge(evidence(), policy())
    assert verdict.is_open
    assert [line.verdict for line in verdict.lines] == ["pass"] * 3
    assert verdict.reasons == ()


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.70, "pass"), (0.62, "pass"), (0.61, "cannot_tell"), (0.59, "cannot_tell"), (0.57, "fail")],
)
def test_a_value_is_judged_by_its_whole_interval(value: float, verdict: str) -> None:
    judged = judge(with_overall(interval(value)), policy())
    assert line_of(judged, VALUE).verdict == verdict
    assert judged.is_open == (verdict == "pass")


LIMITS: list[tuple[dict[str, Any], tuple[float, float], str, str]] = [
    ({"at_least": 0.5}, (0.5, 0.75), "pass", "must be at least 0.5: shown to hold"),
    ({"at_least": 0.5}, (0.25, 0.5), "cannot_tell", "must be at least 0.5: cannot tell"),
    ({"at_least": 0.5}, (0.0, 0.25), "fail", "must be at least 0.5: shown not to hold"),
    ({"at_most": 0.5}, (0.25, 0.5), "pass", "must be at most 0.5: shown to hold"),
    ({"at_most": 0.5}, (0.5, 0.75), "cannot_tell", "must be at most 0.5: cannot tell"),
    ({"at_most": 0.5}, (0.75, 1.0), "fail", "must be at most 0.5: shown not to hold"),
    ({"between": [0.25, 0.5]}, (0.25, 0.5), "pass", "between 0.25 and 0.5: shown to hold"),
    ({"between": [0.25, 0.5]}, (0.25, 0.75), "cannot_tell", "0.5: cannot tell"),
    ({"between": [0.25, 0.5]}, (0.0, 0.125), "fail", "0.5: shown not to hold"),
    ({"between": [0.25, 0.5]}, (0.75, 1.0), "fail", "0.5: shown not to hold"),
    # A point shows nothing: a model that selects nobody has the same value in every draw.
    ({"at_least": 0.5}, (0.75, 0.75), "cannot_tell", "the interval is a point"),
    ({"at_least": 0.5}, (0.25, 0.25), "cannot_tell", "the interval is a point"),
]


@pytest.mark.parametrize(("limit", "ends", "verdict", "words"), LIMITS)
def test_an_interval_that_touches_its_limit_is_still_inside(
    limit: dict[str, Any], ends: tuple[float, float], verdict: str, words: str
) -> None:
    config = policy(
        gating=[
            gating_line(**limit),
            gating_line(line="no worse", against="best_challenger", at_least=-0.02),
        ]
    )
    estimate = Estimate(value=sum(ends) / 2, low=ends[0], high=ends[1])
    measured = with_overall(estimate).model_copy(update={"policy": config})
    line = line_of(judge(measured, config), VALUE)
    assert line.verdict == verdict
    assert words in line.words


@pytest.mark.parametrize("kind", ["contract", "leakage", "audit"])
def test_the_gate_closes_without_a_check_of_each_kind(kind: str) -> None:
    verdict = judge(evidence(data=sound_data(kind)), policy())
    assert (verdict.is_open, verdict.reasons) == (False, (f"the evidence holds no {kind} check",))


def test_the_gate_closes_without_the_account_of_the_rows() -> None:
    verdict = judge(evidence(data=sound_data().model_copy(update={"files": ()})), policy())
    assert not verdict.is_open
    assert "what became of the source's rows" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [
        (0.17, "pass"),
        (0.19, "cannot_tell"),
        (-0.21, "cannot_tell"),
        (0.23, "fail"),
        (-0.23, "fail"),
    ],
)
def test_a_gap_may_lie_on_neither_side_of_its_limits(gap: float, verdict: str) -> None:
    line = line_of(judge(with_gap(together(gap)), policy()), GAP)
    assert line.verdict == verdict
    assert line.level == "f"
    assert line.words.startswith(f"f: {gap:.3f}")


def test_the_worst_level_decides_a_gap() -> None:
    line = line_of(judge(with_gap(together(0.10)), policy()), GAP)
    assert (line.verdict, line.level) == ("pass", "f")
    line = line_of(judge(with_gap(together(0.01)), policy()), GAP)
    assert (line.verdict, line.level) == ("pass", "m")


@pytest.mark.parametrize(("limit", "level"), [({"at_most": 0.2}, "f"), ({"at_least": -0.2}, "m")])
def test_the_level_nearest_to_the_limit_is_the_one_shown(limit: dict[str, Any], level: str) -> None:
    config = policy(
        gating=[
            gating_line(line="tpr by sex", metric="tpr", group="sex", **limit),
            gating_line(line="no worse", against="best_challenger", at_least=-0.02),
        ]
    )
    assert line_of(judge(evidence(config), config), 0).level == level


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (Estimate(value=0.01, low=-0.01, high=0.03), "pass"),
        (Estimate(value=-0.01, low=-0.02, high=0.005), "pass"),
        (Estimate(value=-0.01, low=-0.03, high=0.01), "cannot_tell"),
        # Within the tolerated loss, and yet worse beyond its interval.
        (Estimate(value=-0.01, low=-0.015, high=-0.005), "fail"),
        (Estimate(value=-0.10, low=-0.12, high=-0.08), "fail"),
    ],
)
def test_a_network_worse_than_the_best_challenger_beyond_its_interval_fails(
    difference: Estimate, verdict: str
) -> None:
    best = challenger("boosting", 0.74, best=True).model_copy(
        update={"difference": {"auroc": difference}}
    )
    judged = judge(
        with_population(challengers=(best, challenger("constant", 0.5, best=False))), policy()
    )
    assert line_of(judged, CHALLENGER).verdict == verdict


def test_the_smallest_detectable_gap_stands_beside_each_line() -> None:
    for line in judge(evidence(), policy()).lines:
        assert line.estimate.standard_error is not None
        low, high = line.estimate.low, line.estimate.high
        if line.kind == "gap":
            low, high = line.estimate.simultaneous_low, line.estimate.simultaneous_high
        assert low is not None
        assert high is not None
        # The critical value that judges, times the standard error, is half the interval's width.
        expected = (high - low) / 2 + 0.8416 * line.estimate.standard_error
        assert line.detectable == pytest.approx(expected)


def test_one_failed_line_fails_the_whole() -> None:
    verdict = judge(with_gap(together(0.5)), policy())
    assert verdict.verdict == "fail"
    assert verdict.reasons == (f"tpr by sex: {line_of(verdict, GAP).words}",)


def without(name: str) -> dict[Any, Any]:
    return {key: value for key, value in population().overall.metrics.items() if key != name}


def no_auroc() -> Evidence:
    overall = population().overall.model_copy(update={"metrics": without("auroc")})
    return with_population(overall=overall)


def unflagged() -> Evidence:
    liar = (challenger("boosting", 0.74, best=False), challenger("constant", 0.5, best=True))
    return with_population(challengers=liar)


def one_name_twice() -> Evidence:
    twins = (challenger("boosting", 0.74, best=True), challenger("boosting", 0.5, best=False))
    return with_population(challengers=twins)


def unmeasured_challenger() -> Evidence:
    silent = challenger("forest", 0.5, best=False).model_copy(
        update={"metrics": {"auroc": Estimate(reason="fewer than 30 positives")}}
    )
    return with_population(challengers=(*population().challengers, silent))


def no_difference() -> Evidence:
    best = challenger("boosting", 0.74, best=True).model_copy(update={"difference": {}})
    return with_population(challengers=(best,))


def differs_by(difference: Estimate) -> Evidence:
    best = challenger("boosting", 0.74, best=True).model_copy(
        update={"difference": {"auroc": difference}}
    )
    return with_population(challengers=(best, challenger("constant", 0.5, best=False)))


def test_a_model_differs_from_itself_by_exactly_nothing() -> None:
    assert judge(differs_by(interval(0.0, 0.0)), policy()).verdict == "pass"


MISSING: dict[str, tuple[Callable[[], Evidence | None], str]] = {
    "evidence": (lambda: None, "the audit did not finish"),
    "population": (lambda: evidence(populations=()), "0 populations holdout"),
    "one population": (
        lambda: evidence(populations=(population(), population())),
        "2 populations holdout",
    ),
    "metric": (no_auroc, "auroc was not measured"),
    "value": (
        lambda: with_overall(Estimate(reason="fewer than 30 positives")),
        "cannot tell, fewer than 30 positives",
    ),
    "interval": (lambda: with_overall(Estimate(value=0.9)), "cannot tell, not measured"),
    "upper end": (lambda: with_overall(Estimate(value=0.9, low=0.8)), "cannot tell"),
    "number": (
        lambda: with_overall(Estimate.model_construct(value=NAN, low=NAN, high=NAN)),
        "cannot tell",
    ),
    "low end that is one": (
        lambda: with_overall(Estimate.model_construct(value=0.9, low=NAN, high=0.95)),
        "cannot tell",
    ),
    "finite end": (
        lambda: with_overall(Estimate.model_construct(value=0.9, low=0.8, high=float("inf"))),
        "cannot tell",
    ),
    "order of ends": (lambda: with_overall(Estimate(value=0.9, low=0.95, high=0.8)), "upside down"),
    "width of an interval": (lambda: with_overall(interval(0.9, 0.0)), "the interval is a point"),
    "width of a gap": (lambda: with_gap(together(0.01, 0.0)), "the interval is a point"),
    "width of a difference": (lambda: differs_by(interval(0.01, 0.0)), "the interval is a point"),
    "width but of rounding": (
        lambda: differs_by(interval(0.0, 1e-12)),
        "the interval is a point",
    ),
    "groups": (lambda: with_population(groups=()), "no two groups by sex"),
    "second group": (
        lambda: with_population(groups=population().groups[:1]),
        "no two groups by sex",
    ),
    "gap": (lambda: with_population(gaps=()), "tpr of f against the rest was not measured once"),
    "single gap": (
        lambda: with_population(gaps=population().gaps * 2),
        "was not measured once",
    ),
    "gap's number": (
        lambda: with_gap(Estimate(reason="fewer than 30 positives to compare with")),
        "f: cannot tell, fewer than 30 positives to compare with",
    ),
    "reason that an audit gives": (
        lambda: with_gap(Estimate(reason="too few")),
        "f: cannot tell, too few",
    ),
    "limit of the study's own": (
        lambda: with_gap(Estimate(reason="fewer than 31 positives")),
        "f: cannot tell, fewer than 31 positives",
    ),
    "interval for all gaps at once": (
        lambda: with_gap(interval(0.01)),
        "f: cannot tell, no interval that holds for all gaps at once",
    ),
    "whole interval for all gaps at once": (
        lambda: with_gap(together(0.01).model_copy(update={"simultaneous_high": None})),
        "f: cannot tell, no interval that holds for all gaps at once",
    ),
    "wider interval for all gaps at once": (
        lambda: with_gap(together(0.01).model_copy(update={"simultaneous_high": 0.012})),
        "f: the value or its interval lies outside the interval that judges it",
    ),
    "value within its interval": (
        lambda: with_overall(Estimate(value=0.99, low=0.7, high=0.8)),
        "the value or its interval lies outside the interval that judges it",
    ),
    "group that is there once": (
        lambda: with_population(groups=population().groups + population().groups[:1]),
        "no two groups by sex were measured once",
    ),
    "challengers": (lambda: with_population(challengers=()), "no challenger was measured"),
    "challenger's number": (unmeasured_challenger, "of challenger forest was not measured"),
    "difference": (no_difference, "the difference to boosting was not measured"),
    "true best": (unflagged, "names another challenger the best"),
    "challenger of that name": (one_name_twice, "names another challenger the best"),
    "source": (lambda: evidence(prediction_source=None), "does not name the predictions"),
    "row": (
        lambda: evidence(
            data=DataEvidence(
                files=(FileRows(file="a", rows_in=9, accepted=5, quarantined=1, duplicates=1),)
            )
        ),
        "a: rows in are not accepted + quarantined + duplicates",
    ),
    "passed check": (
        lambda: evidence(
            data=DataEvidence(
                checks=(
                    CheckResult(name="c", table="t", kind="leakage", passed=False, words="late"),
                )
            )
        ),
        "check c on t did not pass",
    ),
    "shape": (lambda: evidence().model_copy(update={"populations": None}), "could not judge"),
    "type": (lambda: cast(Evidence, "pass"), "could not judge"),
}


@pytest.mark.parametrize("missing", MISSING)
def test_the_gate_closes_without_a(missing: str) -> None:
    make, words = MISSING[missing]
    verdict = judge(make(), policy())
    assert (verdict.verdict, verdict.decision) == ("cannot_tell", "close")
    assert words in " ".join(verdict.reasons)


HONEST = {"value", "gap's number"}


@pytest.mark.parametrize("missing", sorted(MISSING))
def test_nobody_is_asked_of_what_is_missing_or_odd_but_of_too_few_subjects(missing: str) -> None:
    asking = policy(approval={"when_cannot_tell": "ask", "narrow_fail_share": 0.25})
    make, _ = MISSING[missing]
    made = make()
    if isinstance(made, Evidence):
        made = made.model_copy(update={"policy": asking})
    verdict = judge(made, asking)
    assert verdict.verdict == "cannot_tell"
    assert verdict.decision == ("ask" if missing in HONEST else "close")


def built(**changes: Any) -> AuditConfig:
    """A policy that its own schema would refuse."""
    return policy().model_copy(update=changes)


def odd_line(**changes: Any) -> tuple[Any, ...]:
    return (policy().gating[VALUE].model_copy(update=changes), *policy().gating[1:])


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (None, "no gating line"),
        (built(gating=()), "no gating line"),
        (built(gating=None), "no gating line"),
        (built(gating=policy().gating[:CHALLENGER]), "no line compares the network"),
        (built(gating=odd_line(at_least=None)), "the line has no limit"),
        (built(gating=odd_line(at_least=NAN)), "the line has no limit"),
        (built(gating=odd_line(at_least=float("-inf"))), "the line has no limit"),
        (built(gating=odd_line(metric="accuracy")), "accuracy is no metric"),
        (built(gating=odd_line(on="train")), "0 populations train"),
        (built(gating=odd_line(group="race")), "no two groups by race"),
        (built(gating=(*policy().gating, None)), "could not judge"),
    ],
)
def test_the_gate_closes_on_a_policy_that_its_schema_would_refuse(
    odd: AuditConfig | None, words: str
) -> None:
    measured = evidence() if odd is None else evidence().model_copy(update={"policy": odd})
    verdict = judge(measured, odd)
    assert (verdict.verdict, verdict.decision) == ("cannot_tell", "close")
    assert words in " ".join(verdict.reasons)


def test_evidence_measured_under_another_policy_does_not_count() -> None:
    softer = [
        gating_line(at_least=0.1),
        gating_line(line="n", against="best_challenger", at_least=0),
    ]
    verdict = judge(evidence(policy(gating=softer)), policy())
    assert verdict.reasons == ("the evidence was measured under another policy than the study's",)


def test_a_verdict_holds_no_nan_and_can_be_written() -> None:
    hostile = with_overall(Estimate.model_construct(value=NAN, low=0.1, high=0.2))
    assert GateVerdict.model_validate_json(judge(hostile, policy()).model_dump_json())
