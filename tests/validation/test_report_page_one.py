"""Every number of the first page is derived from evidence.json alone, and no other stands there."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.validation.forecast_report_samples import TASKS, forecast_evidence, silent_evidence
from tests.validation.html_pages import Page
from tests.validation.report_samples import asking_evidence, closed_evidence, model_evidence
from validation.config import ApprovalConfig
from validation.disclosure.view import for_readers
from validation.estimates import Estimate
from validation.evidence import Evidence, GateVerdict, LimitsOrder, dump_evidence
from validation.report.deciding import limits_words, what_follows
from validation.report.figures import Figure
from validation.report.formatting import NOTHING
from validation.report.json_view import report_text
from validation.report.page_one import recompute
from validation.report.render import render_json, render_report, section_anchors

AUDITS: dict[str, Callable[[], Evidence]] = {
    "risk": model_evidence,
    "risk, closed": closed_evidence,
    "risk, tuned": lambda: model_evidence().model_copy(update={"tuning_trials": 1234}),
    "risk, people are asked": asking_evidence,
    **{task: lambda task=task: forecast_evidence(task) for task in TASKS},  # type: ignore[misc]
    "no skill": lambda: forecast_evidence("direction", skilled=False),
    "nothing can be told": lambda: silent_evidence("volatility"),
}
# Numbers that are words of the page or names, and no results.
NAMES = (
    *("95 %", "80 % power", "90 %", "50 %", "GARCH(1,1)", "5 sessions", "22 sessions"),
    *("18-44", "45-64", "65+", "1557", "; 1 is right", "above 0", "holds 0", "below 0"),
)
every_audit = pytest.mark.parametrize("name", AUDITS)


def raw_of(evidence: Evidence) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(evidence.model_dump_json())
    return found


def at(raw: dict[str, Any], path: str) -> Any:
    """What a plain path of the index leads to, by a walk of its own."""
    found: Any = raw
    for step in re.findall(r"\w+|\[\d+\]", path):
        found = found[int(step[1:-1])] if step.startswith("[") else found[step]
    return found


def first_page(evidence: Evidence, previous: Evidence | None = None) -> str:
    """All text of page one, the contents list left out."""
    html = render_report(evidence, previous=previous)
    opening = html[html.index('<div class="opening">') : html.index("<section ")]
    return Page(f"<html><body>{header_of(html)}{opening}</body></html>").text


def header_of(html: str) -> str:
    return html[html.index("<header>") : html.index("</header>")] + "</header>"


def prose_of(evidence: Evidence) -> list[str]:
    """Words that people or the gate wrote: their numbers are theirs."""
    lines = (*evidence.gate.lines, *evidence.gate.reported) if evidence.gate else ()
    reasons = evidence.gate.reasons if evidence.gate else ()
    said = [evidence.study, *evidence.data_limits, *(line.line for line in lines), *reasons]
    found = json.dumps(raw_of(evidence), ensure_ascii=False)
    said += [*(line.words for line in lines), *re.findall(r'"(?:pbo_)?reason": "([^"]+)"', found)]
    return sorted(said, key=len, reverse=True)


@every_audit
def test_each_figure_is_the_number_at_its_path_and_stands_on_the_page(name: str) -> None:
    evidence = AUDITS[name]()
    raw, page = raw_of(evidence), first_page(evidence)
    figures = recompute(raw)
    plain = 0
    for figure in figures:
        assert figure.written in page, figure
        if not re.fullmatch(r"[\w.\[\]]+", figure.path):
            continue
        found = at(raw, figure.path)
        if isinstance(found, dict):
            names = ("value", "low", "high") if "value" in found else ("rows", "subjects")
            found = [found[each] for each in names if found.get(each) is not None]
        expected = [abs(each) for each in (found if isinstance(found, list) else [found])]
        if "counts" in figure.path:
            continue
        assert sorted(abs(each) for each in figure.values) == pytest.approx(sorted(expected))
        plain += 1
    assert plain > (0 if name == "nothing can be told" else 8)


@every_audit
def test_no_number_stands_on_the_first_page_that_is_not_recomputed(name: str) -> None:
    evidence = AUDITS[name]()
    assert leftover(evidence, recompute(raw_of(evidence))) == []


def leftover(
    evidence: Evidence, figures: tuple[Figure, ...], previous: Evidence | None = None
) -> list[str]:
    """Numbers of page one that neither a figure nor anybody's prose accounts for."""
    page = first_page(evidence, previous)
    for words in (*prose_of(evidence), *NAMES):
        page = re.sub(rf"(?<![\d.]){re.escape(words)}", " ", page)
    written = {number for figure in figures for number in digits(figure.written)}
    return [each for each in digits(page) if each not in written]


def digits(text: str) -> list[str]:
    return re.findall(r"\d[\d,]*(?:\.\d+)?", text)


def test_a_number_that_nobody_recomputed_would_be_noticed() -> None:
    evidence = model_evidence()
    figures = recompute(raw_of(evidence))
    assert leftover(evidence, figures[:3]) != []


def test_what_changed_since_the_last_audit_is_recomputed_from_both_files() -> None:
    before, now = model_evidence(), asking_evidence()
    figures = recompute(raw_of(now), raw_of(before))
    page = first_page(now, before)
    assert all(figure.written in page for figure in figures)
    assert leftover(now, figures, before) == []
    assert any(figure.what.endswith("difference") for figure in figures)


@pytest.mark.parametrize("name", ["risk", "risk, closed", "risk, people are asked"])
def test_what_people_read_says_no_number_that_the_auditors_file_does_not_give(name: str) -> None:
    evidence = AUDITS[name]()
    shown = for_readers(evidence)
    auditors = {figure.written for figure in recompute(raw_of(evidence))}
    readers = recompute(raw_of(shown))
    assert {figure.written for figure in readers} <= auditors
    assert leftover(shown, readers) == []
    assert all(figure.written in first_page(shown) for figure in readers)


def test_by_hand_a_share_a_level_and_the_lost_are_what_arithmetic_says() -> None:
    raw = raw_of(forecast_evidence("volatility"))
    ratio = {"value": 0.96, "low": 0.93, "high": 0.99, "standard_error": 0.01}
    raw["populations"][1]["overall"]["metrics"]["relative_error"] |= ratio
    found = {figure.what: figure for figure in recompute(raw)}
    assert found["understated by"].values == pytest.approx((0.04, 0.01, 0.07))
    assert found["understated by"].written == "4.0 % (1.0 to 7.0)"
    risk = raw_of(model_evidence())
    counts = risk["populations"][-1]["overall"]["counts"]
    counts |= {"subjects": 8000, "censored": 2000}
    lost = {figure.what: figure.written for figure in recompute(risk)}
    assert lost["outcomes nobody knows"] == "2,000 of 8,000 subjects"
    assert lost["share of outcomes nobody knows"] == "25.0 %"


def test_a_foreign_process_derives_the_same_numbers_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    dump_evidence(model_evidence(), file)
    command = [sys.executable, "-m", "validation.report.page_one", str(file)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for figure in recompute(json.loads(file.read_text())):
        assert f"{figure.written} " in printed
        assert figure.path in printed


@every_audit
def test_the_index_names_every_figure_and_what_it_was_made_from(name: str) -> None:
    evidence = AUDITS[name]()
    rows = Page(render_report(evidence)).table_with("Where it lies")
    figures = recompute(raw_of(evidence))
    assert [row[0] for row in rows] == [figure.written for figure in figures]
    assert [row[2] for row in rows] == [figure.path for figure in figures]
    assert evidence.prediction_source is not None
    measured = [row for row in rows if row[2].endswith(".estimate")]
    assert all(evidence.prediction_source.sha256[:12] in row[3] for row in measured)


# ---- who must decide what --------------------------------------------------------------------


def gate_of(evidence: Evidence, **changes: Any) -> Evidence:
    assert evidence.gate is not None
    return evidence.model_copy(update={"gate": evidence.gate.model_copy(update=changes)})


def with_approval(evidence: Evidence, **approval: Any) -> Evidence:
    config = ApprovalConfig.model_validate(approval)
    policy = evidence.policy.model_copy(update={"approval": config})
    return evidence.model_copy(update={"policy": policy})


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        pytest.param(model_evidence, "The study lets a pass release by itself", id="released"),
        pytest.param(
            lambda: gate_of(model_evidence(), decision="ask"),
            "although every line holds?",
            id="ask",
        ),
        pytest.param(
            asking_evidence,
            "although the audit cannot tell whether “Finds cases equally among women and men” "
            "holds? 2 different people must approve; who started the training does not count. One "
            "rejection rejects, with its reason. Unanswered, the request ends after 7 days.",
            id="cannot tell",
        ),
        pytest.param(
            lambda: gate_of(closed_evidence(), decision="ask"),
            "although the limit of “Discriminates on subjects it never saw” is overstepped by",
            id="narrow fail",
        ),
        pytest.param(closed_evidence, "a line that fails closes the gate.", id="fail"),
        pytest.param(
            lambda: with_approval(closed_evidence(), narrow_fail_share=0.1),
            "only where each failed line oversteps its limit by at most 10.0 % of it.",
            id="wide fail",
        ),
        pytest.param(
            lambda: gate_of(
                model_evidence(), verdict="cannot_tell", decision="close", reasons=("rows",)
            ),
            "what closed the gate is no gating line, and no approval can mend it.",
            id="amiss",
        ),
        pytest.param(
            lambda: gate_of(asking_evidence(), decision="close"),
            "something besides the gating lines is amiss",
            id="cannot tell and amiss",
        ),
        pytest.param(
            lambda: model_evidence().model_copy(update={"gate": None}),
            "nobody judged this evidence",
            id="unjudged",
        ),
        pytest.param(
            lambda: gate_of(model_evidence(), decision="close"), "of no decision", id="no decision"
        ),
    ],
)
def test_who_must_decide_what_stands_in_the_verdict(
    evidence: Callable[[], Evidence], words: str
) -> None:
    header = Page(f"<html><body>{header_of(render_report(evidence()))}</body></html>")
    assert words in " ".join(what_follows(evidence()))
    assert words in header.text


def test_where_people_are_asked_the_verdict_says_that_the_gate_waits() -> None:
    words = Page(render_report(asking_evidence())).text
    assert "Of 5 gating lines, 1 cannot be told. The gate waits for people." in words
    assert "The gate is open" not in words
    assert "The gate is closed" not in words


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (None, "this evidence does not say"),
        ((0, True), "had looked at no audit of it."),
        ((0, False), "but its predictions were already made."),
        ((1, True), "1 audit of this test split had been looked at. A limit may have been chosen"),
        ((12, False), "12 audits of this test split had been looked at, but its predictions were"),
    ],
)
def test_whether_limits_came_before_results_is_said(
    order: tuple[int, bool] | None, words: str
) -> None:
    given = order and LimitsOrder(
        policy_sha256="0" * 64, audits_before=order[0], registered_before_predictions=order[1]
    )
    assert words in limits_words(given)


def test_a_line_that_cannot_tell_says_how_many_more_would_and_what_is_only_reported() -> None:
    evidence = asking_evidence()
    assert evidence.gate is not None
    rows = Page(render_report(evidence)).table_with("Gating line")
    unsure = next(line for line in evidence.gate.lines if line.verdict == "cannot_tell")
    assert unsure.subjects_needed is not None
    row = next(row for row in rows if row[0].startswith(unsure.line))
    assert f"about {unsure.subjects_needed:,} more subjects" in row[1]
    assert rows[5] == ["Reported: judged alike, and deciding nothing"]
    assert rows[6][0].startswith("False alarms by age")


def test_an_estimate_without_anything_is_said_in_words() -> None:
    evidence = model_evidence()
    assert evidence.gate is not None
    empty = evidence.gate.lines[0].model_copy(
        update={"estimate": Estimate(reason="fewer than 50 positives"), "detectable": None}
    )
    changed = gate_of(evidence, lines=(empty, *evidence.gate.lines[1:]))
    row = Page(render_report(changed)).table_with("Gating line")[0]
    assert row[3:] == ["cannot tell fewer than 50 positives", NOTHING]


# ---- the same for machines -------------------------------------------------------------------


@every_audit
def test_the_json_report_holds_page_one_index_inventory_and_coverage(name: str) -> None:
    evidence = AUDITS[name]()
    text = render_json(evidence, audit_key="audit_model/1")
    assert text == render_json(Evidence.model_validate(raw_of(evidence)), audit_key="audit_model/1")
    model = json.loads(text)
    assert model["inventory"]["audit"] == "audit_model/1"
    assert model["inventory"]["verdict"] == (evidence.gate and evidence.gate.verdict)
    assert len(model["index"]) == len(recompute(raw_of(evidence)))
    assert {each["id"] for each in model["profiles"]} >= {"tripod_ai", "sr_26_2"}
    assert set(model["verdict"]) == {"kind", "title", "words"}
    with pytest.raises(ValueError, match="JSON compliant"):
        report_text({"value": float("nan")})


def test_the_section_of_changes_stands_only_where_something_can_be_compared() -> None:
    assert "changes" not in section_anchors(model_evidence())
    assert "changes" in section_anchors(closed_evidence(), model_evidence())
    assert GateVerdict(verdict="pass").decision == "close"
