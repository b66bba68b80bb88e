"""The report of forecasts: the same grammar as of risk, in words of rows and instruments."""

import re
from functools import cache
from typing import Any

import pytest

from tests.validation.forecast_examples import CHALLENGERS
from tests.validation.forecast_report_samples import (
    TASKS,
    TRIALS,
    all_pages,
    bare_evidence,
    forecast_evidence,
    rejudged,
    silent_evidence,
)
from tests.validation.html_pages import Page
from validation.estimates import Estimate
from validation.overfitting import broken_chain
from validation.report.layouts import LAYOUTS
from validation.report.names import metric_short, model_name
from validation.report.render import render_report
from validation.report.units import units
from validation.tasks import PRIMARY_LOSS, PRIMARY_SKILL, Task, losses_of

every_task = pytest.mark.parametrize("task", TASKS)


@cache
def page_of(task: Task, *, skilled: bool = True) -> Page:
    return Page(render_report(forecast_evidence(task, skilled=skilled)))


def shown(estimate: Estimate, metric: str, task: Task, *, is_gap: bool = False) -> list[str]:
    """Value, low and high as they must be printed, by the metric's own unit."""
    written = units(forecast_evidence(task))
    unit = written.gap(metric) if is_gap else written.value(metric)
    found = (estimate.value, estimate.low, estimate.high)
    return [f"{v * unit.factor:,.{unit.decimals}f}" for v in found if v is not None]


def numbers(words: str) -> list[str]:
    plain = words.replace("\N{MINUS SIGN}", "-")
    return re.findall(r"-?[\d,]+\.\d+", plain)


# ---- one grammar -----------------------------------------------------------------------------


@every_task
def test_sections_are_those_of_risk_with_harms_and_overfitting(task: Task) -> None:
    headings = [words for level, words in page_of(task).headings if level == 2]
    opening = ["In short", "What decided it", "What this audit cannot tell"]
    assert headings == opening + [
        heading for anchor, heading, _ in LAYOUTS[task].sections if anchor != "changes"
    ]
    of_risk = [section for section, _, _ in LAYOUTS["risk"].sections if section != "mitigation"]
    own = [section for section, _, _ in LAYOUTS[task].sections]
    assert [each for each in own if each in of_risk] == of_risk
    assert set(own) - set(of_risk) == {"overfitting"}


@every_task
def test_no_page_of_forecasts_speaks_of_patients_or_of_nothing_as_a_number(task: Task) -> None:
    for html in all_pages(task):
        page = Page(html)
        assert not re.search(r"patient|Subjects|Cases|[Cc]ensored|predicted risk", page.text)
        assert not re.search(r"\b(nan|NaN|None|inf|undefined)\b", html)


@every_task
@pytest.mark.parametrize(
    ("evidence", "title"),
    [
        pytest.param(forecast_evidence, "Passed", id="open"),
        pytest.param(lambda task: forecast_evidence(task, skilled=False), "Failed", id="failed"),
        pytest.param(silent_evidence, "Cannot tell", id="cannot tell"),
        pytest.param(bare_evidence, "Not decided", id="never judged"),
    ],
)
def test_the_verdict_comes_first_then_what_was_found(task: Task, evidence: Any, title: str) -> None:
    page = Page(render_report(evidence(task)))
    spoken = [text for text in page.texts if text not in "✓✕?"]
    assert spoken[0] == title
    assert ("The gate is open" in spoken[1]) == (title == "Passed")
    assert page.headings[1] == (2, "In short")


@every_task
def test_a_closed_gate_says_why_in_a_sentence_a_line(task: Task) -> None:
    evidence = forecast_evidence(task, skilled=False)
    assert evidence.gate is not None
    opening = page_of(task, skilled=False).text
    start = opening.index("Why the gate is closed")
    why = opening[start : opening.index("What this audit cannot tell")]
    closed = [line for line in evidence.gate.lines if line.verdict != "pass"]
    compared = [line for line in closed if line.kind == "challenger"]
    assert len(closed) > len(compared) == len(losses_of(task))
    for line in closed:
        assert f"{line.line}:" in why
        assert line.words not in why
    loss = metric_short(PRIMARY_LOSS[task])
    rival = model_name(CHALLENGERS[task][1])
    assert f"the network is worse than {rival}: {loss} of the network minus" in why


# ---- every number is the evidence's ------------------------------------------------------------


@every_task
def test_every_number_of_the_table_of_challengers_is_the_evidences(task: Task) -> None:
    evidence, layout = forecast_evidence(task), LAYOUTS[task]
    tables = [rows for rows in page_of(task).tables if rows[0][0] == "Model"]
    assert len(tables) == len(evidence.populations) == 2
    for population, (_, network, *rows) in zip(evidence.populations, tables, strict=True):
        overall = [population.overall.metrics[name] for name in layout.challenger_columns]
        found = zip(layout.challenger_columns, overall, strict=True)
        assert numbers(" ".join(network[1:])) == [n for m, e in found for n in shown(e, m, task)]
        for challenger, row in zip(population.challengers, rows, strict=True):
            assert row[0].startswith(model_name(challenger.name))
            assert ("best challenger" in row[0]) == challenger.best
            expected = [
                n for m in layout.challenger_columns for n in shown(challenger.metrics[m], m, task)
            ] + [
                n
                for m in layout.difference_columns
                for n in shown(challenger.difference[m], m, task)
            ]
            assert numbers(" ".join(row[1:])) == expected


@every_task
def test_every_number_of_groups_metrics_and_lines_is_the_evidences(task: Task) -> None:
    evidence, page, layout = forecast_evidence(task), page_of(task), LAYOUTS[task]
    metrics = page.table_with("Metric")
    for row, name in zip(metrics, layout.quality, strict=True):
        cells = [p.overall.metrics[name] for p in evidence.populations]
        assert numbers(" ".join(row[1:])) == [n for each in cells for n in shown(each, name, task)]
    energy = next(row for row in page.table_with("Group") if row[0] == "energy")
    group = next(g for g in evidence.populations[0].groups if g.level == "energy")
    assert energy[1:4] == [
        f"{count:,}" for count in (group.counts.subjects, group.counts.rows, group.counts.blocks)
    ]
    assert numbers(" ".join(energy[4:])) == [
        n for name in layout.group_columns for n in shown(group.metrics[name], name, task)
    ]
    assert evidence.gate is not None
    for line, row in zip(evidence.gate.lines, page.table_with("Gating line"), strict=True):
        is_gap = line.kind == "gap"
        found = numbers(row[3].split("all gaps at once")[0])
        assert found == shown(line.estimate, line.metric, task, is_gap=is_gap)


@every_task
def test_every_number_of_years_coverage_and_harms_is_the_evidences(task: Task) -> None:
    evidence, page = forecast_evidence(task), page_of(task)
    walked = evidence.population("walk_forward")
    assert walked is not None
    skill, loss = PRIMARY_SKILL[task], PRIMARY_LOSS[task]
    years = page.table_with("Year")
    assert [row[0] for row in years] == [str(point.year) for point in walked.series]
    for row, point in zip(years, walked.series, strict=True):
        assert row[1] == f"{point.rows:,}"
        assert numbers(row[2]) == shown(point.skill, skill, task)
        assert numbers(row[3]) == shown(point.loss, loss, task)
    has_coverage = any("Quantile" in rows[0] for rows in page.tables)
    assert has_coverage == bool(walked.coverage) == (task == "quantiles")
    if has_coverage:
        for row, covered in zip(page.table_with("Quantile"), walked.coverage, strict=True):
            assert row[0] == f"{covered.level:.0%}".replace("%", " %")
            assert numbers(row[1])[0] == f"{100 * (covered.observed.value or 0):.1f}"
    gaps = page.table_with("Gap (simultaneous 95 % interval)")
    for row, finding in zip(gaps, evidence.harms, strict=True):
        assert numbers(row[3]) == shown(finding.estimate, finding.metric or "", task, is_gap=True)
        assert (
            row[4]
            == {True: "! alarm", False: "✓ no alarm", None: "? cannot be seen"}[finding.alarm]
        )


@every_task
def test_decimals_are_enough_to_tell_the_network_from_the_best_challenger(task: Task) -> None:
    walked = forecast_evidence(task).population("walk_forward")
    assert walked is not None
    best = next(each for each in walked.challengers if each.best)
    loss = PRIMARY_LOSS[task]
    difference = shown(best.difference[loss], loss, task)
    assert len(set(difference)) == 3
    assert float(difference[0]) != 0.0


# ---- harms, trials, and what nobody knows ------------------------------------------------------


def test_a_broken_chain_is_said_on_the_first_page_and_gives_no_number() -> None:
    evidence = rejudged(
        forecast_evidence("volatility"), overfitting=broken_chain("entry 4 is not the one hashed")
    )
    text = Page(render_report(evidence)).text
    first = text[: text.index("Intended use States")]
    assert "The chain of the trial ledger is broken" in first
    assert "the chain of the trial ledger is broken" in first[first.index("Why the gate") :]
    assert "entry 4 is not the one hashed" in text
    assert str(TRIALS.ledger_sha256) not in text
    assert "backtest overfitting" not in text


def test_trials_and_the_head_of_their_ledger_are_shown_with_what_they_mean() -> None:
    page = page_of("volatility")
    rows = {row[0].split(" of ")[0]: row for row in page.table_with("What it means")}
    assert [row[1] for row in page.table_with("What it means")] == [
        "13",
        f"{TRIALS.ledger_sha256} sha256 of the newest entry; "
        "it changes if any entry before it does",
        "7.9 %",
        "1.234",
        "more than 99.9 %",
    ]
    assert "no better than the middle one" in rows["Probability"][2]
    assert "Blocks of time are taken as independent" in page.table_with("What it means")[4][2]
    assert "The best of 13 trials without any skill would reach about 0.218" in page.text


def test_numbers_of_trials_that_do_not_exist_say_why() -> None:
    nothing = {"pbo": None, "deflated_sharpe": None, "sharpe": None}
    missing = TRIALS.model_copy(
        update=nothing
        | {
            "expected_maximum_sharpe": None,
            "pbo_reason": "no two trials differ",
            "reason": "the trials share 4 blocks of time",
        }
    )
    page = Page(render_report(rejudged(forecast_evidence("volatility"), overfitting=missing)))
    rows = page.table_with("What it means")
    assert [row[1] for row in rows[2:]] == ["cannot tell"] * 3
    assert rows[2][2] == "no two trials differ"
    assert rows[4][2] == "the trials share 4 blocks of time"
    assert "taken as independent" not in page.text


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (True, "is_point_in_time: yes."),
        (False, "is_point_in_time: no. The universe holds only names that are still there"),
        (None, "is_point_in_time: nobody said."),
    ],
)
def test_whether_the_universe_is_point_in_time_stands_on_the_first_page(
    known: bool | None, words: str
) -> None:
    evidence = rejudged(forecast_evidence("volatility"), is_point_in_time=known)
    text = Page(render_report(evidence)).text
    assert words in text[: text.index("What decided it")]


def test_an_alarm_is_named_on_the_first_page_and_in_its_row() -> None:
    evidence = forecast_evidence("volatility")
    found = evidence.harms[0].model_copy(
        update={"alarm": True, "estimate": Estimate(value=-0.2, low=-0.3, high=-0.1)}
    )
    page = Page(render_report(rejudged(evidence, harms=(found, *evidence.harms[1:]))))
    assert "An alarm was raised for unequal error." in page.text
    row = next(row for row in page.table_with("Looked for") if row[0] == "Unequal error")
    assert row[2].startswith("1 of 6 gaps differs from zero: sector: energy.")
    assert row[3] == "! alarm"


def test_survivors_alone_cannot_show_that_the_dead_are_missing() -> None:
    row = page_of("volatility").table_with("Looked for")[-1]
    assert row[0] == "Survivorship"
    assert "the universe holds only names that are still there" in row[2]
    assert row[3] == "? cannot be seen"


def test_a_leakage_check_that_does_not_hold_is_an_alarm_of_look_ahead() -> None:
    evidence = forecast_evidence("volatility")
    checks = [
        check.model_copy(update={"passed": False}) if check.name == "truncation_replay" else check
        for check in evidence.data.checks
    ]
    data = evidence.data.model_copy(update={"checks": tuple(checks)})
    page = Page(render_report(rejudged(evidence, data=data)))
    row = page.table_with("Looked for")[0]
    assert row[2:] == ["1 of 3 checks do not hold: truncation replay.", "! alarm"]
    assert "An alarm was raised for look-ahead." in page.text


@every_task
def test_an_audit_that_learned_nothing_still_gives_a_page_that_says_so(task: Task) -> None:
    text = Page(render_report(bare_evidence(task))).text
    assert "Nobody said how many trials were looked at." in text
    assert "is_point_in_time: nobody said." in text
    assert "Cannot be seen: look-ahead, unequal error, regime and survivorship." in text
    silent = Page(render_report(silent_evidence(task))).text
    lines = len(silent_evidence(task).policy.gating)
    assert "cannot be told: fewer than 10 blocks of time." in silent
    assert f"Of {lines} gating lines, {lines} cannot be told." in silent


@every_task
def test_unknown_outcomes_are_counted_where_there_are_some(task: Task) -> None:
    evidence = forecast_evidence(task)
    *before, walked = evidence.populations
    counts = walked.overall.counts.model_copy(update={"rows": 11900, "unknown": 100})
    overall = walked.overall.model_copy(update={"counts": counts})
    changed = (*before, walked.model_copy(update={"overall": overall}))
    text = Page(render_report(rejudged(evidence, populations=changed))).text
    assert "How right the forecasts of 100 of 12,000 rows were (0.8 %, walk-forward)" in text
    assert "How right the forecasts of" not in page_of(task).text
