"""How numbers and names are written: checked by hand."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validation.report_samples import model_evidence
from validation.estimates import Estimate
from validation.evidence import LineVerdict
from validation.report import formatting, names
from validation.report.limits import cannot_tell
from validation.tasks import MetricName


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.78349, "0.783"),
        (-0.0312, "\N{MINUS SIGN}0.031"),
        (-0.0004, "\N{MINUS SIGN}0.000"),
        (-0.0, "0.000"),
        (1234.5, "1,234.500"),
        (None, "\N{EN DASH}"),
    ],
)
def test_a_number_has_three_decimals_and_a_true_minus(value: float | None, written: str) -> None:
    assert formatting.number(value) == written


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_a_written_number_reads_back_within_its_rounding(value: float) -> None:
    written = formatting.number(value).replace("\N{MINUS SIGN}", "-").replace(",", "")
    assert float(written) == pytest.approx(value, abs=0.00051)


def test_counts_are_grouped_or_hidden() -> None:
    assert formatting.count(15155) == "15,155"
    assert formatting.count(0) == "0"
    assert formatting.count(None) == "hidden"


def test_a_share_needs_both_counts_and_a_whole() -> None:
    assert formatting.percent(2383, 17538) == "13.6 %"
    assert formatting.percent(None, 5) == formatting.percent(1, 0) == "\N{EN DASH}"


def test_an_estimate_says_its_interval_or_that_it_cannot_tell() -> None:
    assert (
        formatting.interval(Estimate(value=0.5, low=-0.1, high=1))
        == "0.500 (\N{MINUS SIGN}0.100 to 1.000)"
    )
    assert formatting.interval(Estimate(value=0.5)) == "0.500"
    assert formatting.interval(Estimate(reason="too few")) == "cannot tell"


@pytest.mark.parametrize(
    ("metric", "lower", "upper", "written"),
    [
        ("auroc", 0.65, None, "at least 0.650"),
        ("fpr", None, 0.1, "at most 0.100"),
        ("tpr", -0.2, 0.2, "\N{MINUS SIGN}0.200 to 0.200"),
        ("rows", 1000, None, "at least 1,000"),
        ("auroc", None, None, "no limit"),
    ],
)
def test_a_limit_is_said_in_words(
    metric: str, lower: float | None, upper: float | None, written: str
) -> None:
    line = LineVerdict(
        line="a line",
        kind="value",
        metric=metric,
        on="holdout",
        group="overall",
        lower=lower,
        upper=upper,
        verdict="pass",
        words="",
    )
    assert formatting.limit(line) == written


def test_every_metric_has_a_name_and_an_explanation() -> None:
    listed = {name for each in get_args(MetricName) for name in get_args(each) or (each,)}
    # log_relative_error is of the search for harms alone.
    assert set(names.METRICS) == listed | {"log_relative_error"}
    assert names.metric_name("some_new_metric") == "some new metric"


def test_a_small_setting_is_not_rounded_away() -> None:
    assert formatting.detail(0.0003) == "0.0003"
    assert [formatting.detail(v) for v in (2048, "cpu", None)] == ["2048", "cpu", "\N{EN DASH}"]


def test_words_are_joined_as_people_do() -> None:
    assert formatting.joined(["a"]) == "a"
    assert formatting.joined(["a", "b"]) == "a and b"
    assert formatting.joined(["a", "b", "c"]) == "a, b and c"


def test_an_undecided_line_is_told_once_among_reasons_or_if_it_is_only_reported() -> None:
    evidence = model_evidence()
    assert evidence.gate is not None
    unsure = evidence.gate.lines[0].model_copy(update={"verdict": "cannot_tell", "words": "why"})
    gating = evidence.gate.model_copy(update={"lines": (unsure, *evidence.gate.lines[1:])})
    assert cannot_tell(evidence.model_copy(update={"gate": gating})) == cannot_tell(evidence)
    reported = evidence.gate.model_copy(update={"reported": (unsure,)})
    said = cannot_tell(evidence.model_copy(update={"gate": reported}))
    assert said[0] == "Whether “Discriminates on subjects it never saw” holds: why"
    assert len(said) == len(cannot_tell(evidence)) + 1
