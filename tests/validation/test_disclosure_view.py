"""What people read of the evidence: no withheld number in any place, and no word that says why."""

import json

import pytest

from tests.validation.audit_examples import policy
from tests.validation.gate_examples import evidence, performance, population, together
from validation.disclosure.view import NOT_SHOWN, for_readers
from validation.estimates import Estimate
from validation.evidence import Evidence, Gap, GroupPerformance
from validation.gate import judge

SECRET = 0.98765432


def telling(**changes: object) -> Evidence:
    """Evidence in which the true positive rate of women is withheld, everywhere a secret."""
    women = performance("sex", "f").model_copy(
        update={
            "metrics": performance("sex", "f").metrics
            | {"tpr": together(SECRET), "fpr": Estimate(reason="fewer than 11 subjects")},
            "pooled": {"tpr": SECRET, "auroc": 0.7512345},
            "withheld": ("tpr",),
        }
        | changes
    )
    gaps = tuple(
        gap.model_copy(
            update={
                "estimate": together(SECRET),
                "detectable": SECRET,
                "permutation_share": SECRET,
            }
        )
        if (gap.level, gap.metric) == ("f", "tpr")
        else gap
        for gap in population().gaps
    )
    groups = (women, performance("sex", "m"))
    measured = evidence(populations=(population(groups=groups, gaps=gaps),))
    return measured.model_copy(update={"gate": judge(measured, measured.policy)})


def women(read: Evidence) -> GroupPerformance:
    return read.populations[0].groups[0]


def gap(read: Evidence, level: str, metric: str) -> Gap:
    return next(
        one for one in read.populations[0].gaps if (one.level, one.metric) == (level, metric)
    )


def test_a_withheld_number_is_in_no_place_of_what_people_read() -> None:
    told = telling()
    assert "0.98" in told.model_dump_json()
    read = for_readers(told)
    assert "0.98" not in read.model_dump_json()
    assert women(read).metrics["tpr"] == Estimate(reason=NOT_SHOWN)
    assert gap(read, "f", "tpr").estimate == Estimate(reason=NOT_SHOWN)
    assert women(read).withheld == ()
    assert read.gate is not None
    line = next(one for one in read.gate.lines if one.kind == "gap")
    assert (line.verdict, line.detectable, line.subjects_needed) == ("fail", None, None)
    assert line.estimate == Estimate(reason=NOT_SHOWN)
    assert line.words == f"f: shown not to hold; {NOT_SHOWN}"
    assert read.gate.reasons == (f"{line.line}: {line.words}",)
    assert read.gate.verdict == "fail"


def test_too_few_and_withheld_read_the_same() -> None:
    read = for_readers(telling())
    assert women(read).metrics["fpr"] == women(read).metrics["tpr"]
    assert "fewer than 11" not in json.dumps(read.model_dump(mode="json")["populations"])


def test_what_is_not_withheld_is_read_to_three_decimals() -> None:
    exact = together(0.71234567)
    groups = (performance("sex", "f"), performance("sex", "m"))
    metrics = groups[0].metrics | {"auroc": exact}
    shown = groups[0].model_copy(update={"metrics": metrics, "pooled": {"auroc": 0.7512345}})
    fine = {"estimate": together(0.0512345), "detectable": 0.0312345}
    gaps = tuple(one.model_copy(update=fine) for one in population().gaps)
    read = for_readers(evidence(populations=(population(groups=(shown, groups[1]), gaps=gaps),)))
    estimate = women(read).metrics["auroc"]
    assert (estimate.value, estimate.low, estimate.high) == (0.712, 0.702, 0.722)
    assert (estimate.simultaneous_low, estimate.simultaneous_high) == (0.692, 0.732)
    assert women(read).pooled == {"auroc": 0.751}
    assert gap(read, "f", "tpr").detectable == 0.031
    assert gap(read, "f", "tpr").estimate.value == 0.051
    assert NOT_SHOWN == "not shown: too few subjects, or it would give away how few"


def test_what_is_of_everybody_is_read_as_it_is() -> None:
    told = telling()
    read = for_readers(told)
    assert read.populations[0].overall == told.populations[0].overall
    assert read.populations[0].challengers == told.populations[0].challengers
    assert read.gate is not None
    assert told.gate is not None
    assert read.gate.lines[0] == told.gate.lines[0]
    assert read.gate.lines[2] == told.gate.lines[2]


def test_a_gap_from_everybody_is_withheld_with_everybodys_metric() -> None:
    told = telling(withheld=())
    overall = told.populations[0].overall.model_copy(update={"withheld": ("tpr",)})
    one = told.populations[0].model_copy(update={"overall": overall})
    read = for_readers(told.model_copy(update={"populations": (one,)}))
    assert gap(read, "m", "tpr").estimate == Estimate(reason=NOT_SHOWN)
    assert gap(read, "m", "auroc").estimate.value == -0.05


def test_a_gap_of_a_group_that_is_not_there_is_not_shown() -> None:
    told = telling(withheld=())
    one = told.populations[0].model_copy(update={"groups": told.populations[0].groups[1:]})
    read = for_readers(told.model_copy(update={"populations": (one,)}))
    assert gap(read, "f", "auroc").estimate == Estimate(reason=NOT_SHOWN)
    assert read.gate is not None
    assert read.gate.lines[1].estimate.value is None


@pytest.mark.parametrize(
    ("value", "words"), [(0.05, "shown to hold"), (0.19, "cannot tell"), (0.5, "shown not to hold")]
)
def test_the_verdict_of_a_withheld_line_is_still_said(value: float, words: str) -> None:
    told = telling()
    gaps = tuple(
        one.model_copy(update={"estimate": together(value)})
        if (one.level, one.metric) == ("f", "tpr")
        else one.model_copy(update={"estimate": together(0.01)})
        for one in told.populations[0].gaps
    )
    one = told.populations[0].model_copy(update={"gaps": gaps})
    measured = told.model_copy(update={"populations": (one,)})
    read = for_readers(measured.model_copy(update={"gate": judge(measured, policy())}))
    assert read.gate is not None
    assert read.gate.lines[1].words == f"f: {words}; {NOT_SHOWN}"
    assert read.gate.lines[1].subjects_needed is None


def test_a_shown_line_is_read_to_three_decimals_with_its_own_words() -> None:
    told = telling(withheld=(), metrics=performance("sex", "f").metrics)
    gaps = tuple(
        one.model_copy(update={"estimate": together(0.0512345)})
        if (one.level, one.metric) == ("f", "tpr")
        else one
        for one in population().gaps
    )
    one = told.populations[0].model_copy(update={"gaps": gaps})
    measured = told.model_copy(update={"populations": (one,)})
    judged = measured.model_copy(update={"gate": judge(measured, policy())})
    read = for_readers(judged)
    assert read.gate is not None
    assert judged.gate is not None
    assert read.gate.lines[1].estimate.value == 0.051
    assert read.gate.lines[1].words == judged.gate.lines[1].words


def test_evidence_that_was_not_judged_is_read_without_a_verdict() -> None:
    assert for_readers(telling().model_copy(update={"gate": None})).gate is None


def test_of_instruments_nothing_is_withheld() -> None:
    told = telling()
    forecast = told.policy.model_copy(update={"task": "direction"})
    read = told.model_copy(update={"policy": forecast})
    assert for_readers(read) == read


def test_a_reported_line_is_withheld_like_a_gating_one() -> None:
    told = telling()
    assert told.gate is not None
    both = told.gate.model_copy(update={"reported": told.gate.lines, "lines": told.gate.lines[:1]})
    read = for_readers(told.model_copy(update={"gate": both}))
    assert read.gate is not None
    assert len(read.gate.lines) == 1
    assert read.gate.reported[1].estimate == Estimate(reason=NOT_SHOWN)
