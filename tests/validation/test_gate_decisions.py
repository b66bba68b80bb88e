"""What follows from a verdict, how many more subjects would tell, and the release that stands."""

from typing import Any

import pytest

from pipelines.incumbents import NOT_READABLE
from tests.validation.audit_examples import gating_line, policy, sound_data
from tests.validation.gate_examples import (
    GAP,
    VALUE,
    challenger,
    evidence,
    interval,
    line_of,
    population,
    together,
    with_gap,
    with_population,
)
from validation.estimates import Counts, Estimate
from validation.evidence import Evidence, LineVerdict
from validation.gate import judge
from validation.incumbent import NO_SUBJECT_IN_COMMON, IncumbentEvidence
from validation.non_inferiority import OTHER_COLUMNS, OTHER_QUESTION

# ---- what follows from a verdict ---------------------------------------------------------------


def decided(measured: Evidence, **approval: Any) -> str:
    """The decision on the example's evidence under another section `approval`."""
    config = policy(approval=approval)
    return judge(measured.model_copy(update={"policy": config}), config).decision


UNTOLD, FAILED = together(0.19), together(0.23)


@pytest.mark.parametrize(
    ("measured", "approval", "decision"),
    [
        (evidence(), {}, "release"),
        (evidence(), {"when_passed": "ask"}, "ask"),
        (evidence(), {"when_cannot_tell": "ask"}, "release"),
        (with_gap(UNTOLD), {}, "close"),
        (with_gap(UNTOLD), {"when_passed": "ask"}, "close"),
        (with_gap(UNTOLD), {"when_cannot_tell": "ask"}, "ask"),
        (with_gap(FAILED), {}, "close"),
        (with_gap(FAILED), {"when_cannot_tell": "ask"}, "close"),
        # .23 oversteps .20 by .03, which is .15 of the limit.
        (with_gap(FAILED), {"narrow_fail_share": 0.16}, "ask"),
        (with_gap(FAILED), {"narrow_fail_share": 0.14}, "close"),
        (with_gap(together(-0.23)), {"narrow_fail_share": 0.16}, "ask"),
        (with_gap(together(-0.23)), {"narrow_fail_share": 0.14}, "close"),
        (evidence(prediction_source=None), {"when_cannot_tell": "ask"}, "close"),
        (evidence(data=sound_data("leakage")), {"when_cannot_tell": "ask"}, "close"),
    ],
)
def test_the_study_says_what_follows_from_a_verdict(
    measured: Evidence, approval: dict[str, Any], decision: str
) -> None:
    assert decided(measured, **approval) == decision


def both_gaps(women: Estimate, men: Estimate) -> Evidence:
    gaps = tuple(
        gap.model_copy(update={"estimate": women if gap.level == "f" else men})
        for gap in population().gaps
    )
    return with_population(gaps=gaps)


NARROW = {"narrow_fail_share": 0.16}


@pytest.mark.parametrize(
    ("men", "approval", "decision"),
    [
        (together(0.0), NARROW, "ask"),
        (together(-0.23), NARROW, "ask"),
        # The other level fails by far: the line is not narrow, whichever level is shown.
        (together(-0.4), NARROW, "close"),
        # A level that cannot tell closes by itself, so it closes beside a narrow failure too.
        (together(-0.19), NARROW, "close"),
        (together(-0.19), NARROW | {"when_cannot_tell": "ask"}, "ask"),
        (Estimate(reason="fewer than 30 positives"), NARROW, "close"),
        (Estimate(reason="fewer than 30 positives"), NARROW | {"when_cannot_tell": "ask"}, "ask"),
        (Estimate(value=0.0), NARROW, "close"),
    ],
)
def test_a_line_fails_narrowly_if_each_of_its_levels_does(
    men: Estimate, approval: dict[str, Any], decision: str
) -> None:
    assert decided(both_gaps(together(0.23), men), **approval) == decision


def test_an_untold_line_beside_a_narrow_failure_asks_only_where_both_would() -> None:
    narrow = with_gap(FAILED).populations[0]
    metrics = narrow.overall.metrics | {"auroc": interval(0.61)}
    overall = narrow.overall.model_copy(update={"metrics": metrics})
    measured = evidence(populations=(narrow.model_copy(update={"overall": overall}),))
    assert decided(measured, **NARROW) == "close"
    assert decided(measured, **NARROW, when_cannot_tell="ask") == "ask"


@pytest.mark.parametrize("share", [0.01, 0.25])
def test_a_network_shown_to_be_worse_is_never_narrow(share: float) -> None:
    worse = challenger("boosting", 0.74, best=True).model_copy(
        update={"difference": {"auroc": Estimate(value=-0.001, low=-0.0015, high=-0.0005)}}
    )
    measured = with_population(challengers=(worse,))
    assert decided(measured, narrow_fail_share=share) == "close"


@pytest.mark.parametrize(
    ("limit", "gap", "decision"),
    [
        # .0625 over .25 is a quarter of it, and a quarter is narrow.
        ({"between": [-0.25, 0.25]}, 0.3125, "ask"),
        ({"between": [-0.25, 0.25]}, -0.3125, "ask"),
        ({"between": [-0.25, 0.25]}, 0.313, "close"),
        ({"between": [-0.25, 0.25]}, -0.313, "close"),
        ({"between": [-0.5, 0.25]}, 0.313, "close"),
        ({"between": [-0.25, 0.5]}, -0.313, "close"),
        # Of a limit of 0 there is no share.
        ({"at_most": 0.0}, 0.03125, "close"),
        ({"at_least": 0.0}, -0.03125, "close"),
    ],
)
def test_a_gap_is_narrow_by_the_share_of_the_limit_that_it_oversteps(
    limit: dict[str, Any], gap: float, decision: str
) -> None:
    config = policy(
        gating=[
            gating_line(line="tpr by sex", metric="tpr", group="sex", **limit),
            gating_line(line="n", against="best_challenger", at_least=-0.02),
        ],
        approval={"narrow_fail_share": 0.25},
    )
    measured = both_gaps(together(gap, 0.015625), together(-gap, 0.015625))
    verdict = judge(measured.model_copy(update={"policy": config}), config)
    assert (verdict.verdict, verdict.decision) == ("fail", decision)


@pytest.mark.parametrize(("limit", "value"), [("at_least", 0.55), ("at_most", 0.65)])
def test_a_value_that_fails_is_never_narrow(limit: str, value: float) -> None:
    config = policy(
        gating=[
            gating_line(**{"at_least": None, limit: 0.6}),
            gating_line(line="n", against="best_challenger", at_least=-0.02),
        ],
        approval={"narrow_fail_share": 0.25, "when_cannot_tell": "ask"},
    )
    metrics = population().overall.metrics | {"auroc": interval(value)}
    overall = population().overall.model_copy(update={"metrics": metrics})
    verdict = judge(with_population(overall=overall).model_copy(update={"policy": config}), config)
    assert (verdict.verdict, verdict.decision) == ("fail", "close")


# ---- reported lines ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap", "verdict"), [(0.01, "pass"), (0.19, "cannot_tell"), (0.30, "fail")]
)
def test_a_reported_line_is_judged_alike_and_decides_nothing(gap: float, verdict: str) -> None:
    line = gating_line(line="fpr by sex", metric="fpr", group="sex", between=[-0.2, 0.2])
    config = policy(reported=[line])
    gaps = tuple(
        each.model_copy(update={"estimate": together(gap)})
        if (each.level, each.metric) == ("f", "fpr")
        else each
        for each in population().gaps
    )
    measured = with_population(gaps=gaps).model_copy(update={"policy": config})
    judged = judge(measured, config)
    assert (judged.verdict, judged.decision, judged.reasons) == ("pass", "release", ())
    assert [(one.line, one.verdict) for one in judged.reported] == [("fpr by sex", verdict)]
    assert [one.line for one in judged.lines] == [line.line for line in config.gating]


# ---- how many more would tell -----------------------------------------------------------------


def test_a_gap_that_cannot_be_told_says_how_many_more_would_tell() -> None:
    line = line_of(judge(with_gap(together(0.19)), policy()), GAP)
    # An end .02 away must come to .01: four times the 500 women.
    assert line.subjects_needed == 1500
    assert line.words == (
        "f: 0.190 (0.170 to 0.210), must lie between -0.2 and 0.2: cannot tell;"
        " about 1,500 more subjects, composed alike, would tell"
    )


def test_a_value_counts_the_whole_population() -> None:
    overall = population().overall.model_copy(
        update={
            "metrics": population().overall.metrics | {"auroc": interval(0.61)},
            "counts": Counts(subjects=3000, positives=400, censored=9),
        }
    )
    line = line_of(judge(with_population(overall=overall), policy()), VALUE)
    assert line.subjects_needed == 9000


def test_a_group_with_too_few_positives_says_how_many_subjects_bring_them() -> None:
    few = (
        population()
        .groups[0]
        .model_copy(update={"counts": Counts(subjects=200, positives=20, censored=0)})
    )
    groups = (few, population().groups[1])
    measured = with_gap(Estimate(reason="fewer than 30 positives")).populations[0]
    found = judge(evidence(populations=(measured.model_copy(update={"groups": groups}),)), policy())
    line = line_of(found, GAP)
    assert line.subjects_needed == 100
    assert line.words == (
        "f: cannot tell, fewer than 30 positives; about 100 more subjects would bring 30 positives"
    )


# ---- against the release that stands ----------------------------------------------------------

INCUMBENT_LINE = gating_line(line="no worse than before", against="incumbent", at_least=-0.02)


def against_incumbent(found: IncumbentEvidence | None) -> LineVerdict:
    config = policy(gating=[*[line.model_dump() for line in policy().gating], INCUMBENT_LINE])
    measured = evidence(config, incumbent=found)
    return judge(measured, config).lines[-1]


def stands(**differences: Estimate) -> IncumbentEvidence:
    return IncumbentEvidence.model_validate(
        {"stands": True, "differences": {"holdout": differences}}
    )


INCUMBENTS: list[tuple[IncumbentEvidence | None, str, str]] = [
    (None, "cannot_tell", "nobody looked for the release that stands"),
    (IncumbentEvidence(stands=False), "pass", "no release stands to be inferior to"),
    (IncumbentEvidence(stands=True), "cannot_tell", "was not measured"),
    (stands(), "cannot_tell", "was not measured"),
    (stands(brier=interval(0.0)), "cannot_tell", "was not measured"),
    (
        IncumbentEvidence(stands=True, reason="no subject was held out by both models"),
        "cannot_tell",
        "incumbent: cannot tell, no subject was held out by both models",
    ),
    (stands(auroc=interval(0.01)), "pass", "incumbent: 0.010 (-0.010 to 0.030)"),
    (stands(auroc=interval(-0.005)), "cannot_tell", "incumbent: -0.005"),
    (stands(auroc=interval(-0.03)), "fail", "incumbent: -0.030"),
    (stands(auroc=Estimate(value=-0.01, low=-0.015, high=-0.005)), "fail", "-0.010"),
]


@pytest.mark.parametrize(
    ("reason", "decision"),
    [
        (NO_SUBJECT_IN_COMMON, "ask"),
        (NOT_READABLE, "close"),
        (OTHER_COLUMNS, "close"),
        (OTHER_QUESTION, "close"),
        ("the two models cannot be compared: a subject is there twice", "close"),
        ("we are sure it is no worse", "close"),
        (None, "close"),
    ],
)
def test_nobody_is_asked_of_a_release_that_cannot_be_read(
    reason: str | None, decision: str
) -> None:
    lines = [*[line.model_dump() for line in policy().gating], INCUMBENT_LINE]
    config = policy(gating=lines, approval={"when_cannot_tell": "ask"})
    found = IncumbentEvidence(stands=True, reason=reason)
    verdict = judge(evidence(config, incumbent=found), config)
    assert (verdict.verdict, verdict.decision) == ("cannot_tell", decision)


@pytest.mark.parametrize(("found", "verdict", "words"), INCUMBENTS)
def test_the_network_must_not_be_worse_than_the_release_that_stands(
    found: IncumbentEvidence | None, verdict: str, words: str
) -> None:
    line = against_incumbent(found)
    assert line.verdict == verdict
    assert words in line.words


def test_a_line_without_a_limit_does_not_hold_because_nothing_stands() -> None:
    line = policy(gating=[*policy().gating, INCUMBENT_LINE]).gating[-1]
    config = policy().model_copy(
        update={"gating": (*policy().gating, line.model_copy(update={"at_least": None}))}
    )
    measured = evidence(incumbent=IncumbentEvidence(stands=False))
    verdict = judge(measured.model_copy(update={"policy": config}), config)
    assert (verdict.verdict, verdict.decision) == ("cannot_tell", "close")
    assert "the line has no limit" in verdict.reasons[0]
