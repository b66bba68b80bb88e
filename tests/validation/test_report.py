"""The report of an audit: the verdict first, every number the evidence's, nothing foreign."""

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.validation.html_pages import Page
from tests.validation.report_samples import (
    closed_evidence,
    lineage,
    model_evidence,
    prediction_evidence,
    unjudged,
)
from validation.evidence import Evidence, GateVerdict, PredictionEvidence, dump_evidence
from validation.report.formatting import NOTHING
from validation.report.layouts import LAYOUTS
from validation.report.render import (
    render_crash_report,
    render_prediction_report,
    render_report,
)

HOSTILE = """"><script>alert('x')</script><img src=x onerror='y'>{{ 7*7 }}&amp;"""
PROSE = {
    "study",
    "intended_use",
    "data_limits",
    "words",
    "file",
    "rule",
    "level",
    "name",
    "stage",
    "key",
    "sha256",
    "architecture",
    "reason",
    "reasons",
    "where",
    "step",
    "split",
    "line",
}


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(model_evidence())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def numbers(words: str) -> list[float]:
    plain = words.replace("\N{MINUS SIGN}", "-").replace(",", "")
    return [float(found) for found in re.findall(r"-?\d+\.\d+", plain)]


# ---- the verdict -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evidence", "title", "outcome"),
    [
        pytest.param(model_evidence, "Passed", "This model may be released", id="open"),
        pytest.param(closed_evidence, "Failed", "No model is released", id="failed"),
        pytest.param(
            lambda: unjudged(GateVerdict(verdict="cannot_tell", reasons=("no limit",))),
            "Cannot tell",
            "No model is released",
            id="undecided",
        ),
        pytest.param(unjudged, "Not decided", "No model is released", id="never judged"),
    ],
)
def test_the_verdict_is_said_before_anything_else(evidence: Any, title: str, outcome: str) -> None:
    page = Page(render_report(evidence()))
    spoken = [text for text in page.texts if text not in "✓✕?"]
    assert spoken[0] == title
    assert outcome in spoken[1]
    assert ("open" in spoken[1]) == (title == "Passed")


def test_a_closed_gate_says_why_on_the_first_page() -> None:
    evidence = closed_evidence()
    assert evidence.gate is not None
    text = Page(render_report(evidence)).text
    assert evidence.gate.reasons
    for reason in evidence.gate.reasons:
        assert text.index(reason) < text.index("What this audit cannot tell")
    assert "Of 5 gating lines, 1 does not hold." in text


def test_lines_that_hold_do_not_hide_that_something_else_closed_the_gate() -> None:
    gate = model_evidence().gate
    assert gate is not None
    amiss = gate.model_copy(update={"verdict": "cannot_tell", "reasons": ("rows do not add up",)})
    text = Page(render_report(unjudged(amiss))).text
    assert "All 5 gating lines hold. Something else is amiss. The gate is closed." in text
    assert "rows do not add up" in text


def test_every_number_of_the_gating_table_is_the_evidences(page: Page) -> None:
    gate = model_evidence().gate
    assert gate is not None
    rows = page.table_with("Gating line")
    assert len(rows) == len(gate.lines) == 5
    for line, (name, verdict, limit, found, detectable) in zip(gate.lines, rows, strict=True):
        estimate = line.estimate
        assert name.startswith(line.line)
        shown = (estimate.value, estimate.low, estimate.high)
        family = (estimate.simultaneous_low, estimate.simultaneous_high)
        assert ("all gaps at once" in found) == (line.kind == "gap")
        assert numbers(found) == [round(v, 3) for v in (*shown, *family) if v is not None]
        assert numbers(limit) == [v for v in (line.lower, line.upper) if v is not None]
        assert numbers(detectable) == [round(line.detectable or 0.0, 3)]
        assert verdict.endswith(line.verdict)


def test_what_the_audit_cannot_tell_stands_before_all_else_that_it_can(page: Page) -> None:
    evidence = model_evidence()
    first_page = page.text[: page.text.index("Ranks adults without diabetes")]
    for limit in evidence.data_limits:
        assert limit in first_page
    assert evidence.gate is not None
    tpr = next(line for line in evidence.gate.lines if line.metric == "tpr")
    assert f"TPR by sex {tpr.detectable:.3f}" in first_page
    counts = evidence.populations[-1].overall.counts
    assert f"the {counts.censored:,} of {counts.subjects:,} subjects" in first_page
    assert "groups that are too small (holdout)" in first_page


# ---- numbers ---------------------------------------------------------------------------------


def test_metrics_and_groups_show_the_numbers_of_the_evidence(page: Page) -> None:
    evidence = model_evidence()
    metrics = page.table_with("Metric")
    overall = [population.overall.metrics["auroc"] for population in evidence.populations]
    assert metrics[0][0].startswith("Ranking AUROC")
    for cell, found in zip(metrics[0][1:], overall, strict=True):
        shown = [round(v, 3) for v in (found.value, found.low, found.high) if v is not None]
        assert numbers(cell) == shown
    groups = page.table_with("TPR")
    women = next(g for g in evidence.populations[0].groups if g.level == "female")
    row = next(row for row in groups if row[0].startswith("female"))
    assert row[1] == f"{women.counts.subjects:,}"
    fpr = women.metrics["fpr"]
    assert numbers(row[6])[0] == round(fpr.value or 0.0, 3)


def test_a_hidden_count_says_no_more_than_that(page: Page) -> None:
    youngest = next(row for row in page.table_with("female sex") if row[0].startswith("Younger"))
    assert youngest[1:] == ["hidden", "hidden", "11", "0", "0"]
    assert "A hidden count is below 11, or a count below 11 could be" in page.text


def test_the_flow_starts_with_everybody_and_ends_with_the_study(page: Page) -> None:
    steps = page.table_with("Stayed")
    assert steps[0] == ["Subjects in the source", "", "17,549", "100.0 %"]
    assert steps[-1][1:] == ["2,383", "15,155", "86.4 %"]


def test_rows_add_up_file_by_file_and_a_file_that_does_not_is_named(page: Page) -> None:
    assert page.table_with("Rows in")[2] == [
        *("nafld2", "400,123", "396,292", "14", "3,817", "0", "✓ yes")
    ]
    evidence = model_evidence()
    broken = evidence.data.files[2].model_copy(update={"accepted": 1})
    data = evidence.data.model_copy(update={"files": (broken,)})
    rows = Page(render_report(evidence.model_copy(update={"data": data}))).table_with("Rows in")
    assert rows == [["nafld2", "400,123", "1", "14", "3,817", "0", "✕ no"]]


def test_a_check_that_did_not_hold_is_listed_in_words() -> None:
    evidence = model_evidence()
    failed = evidence.data.checks[0].model_copy(update={"passed": False, "words": "3 rows differ"})
    data = evidence.data.model_copy(update={"checks": (failed, *evidence.data.checks[1:])})
    page = Page(render_report(evidence.model_copy(update={"data": data})))
    assert "Checks that did not hold" in page.text
    assert page.table_with("Held")[0] == ["contract", "events", "2", "3", "✕ fail"]
    assert page.text.count("3 rows differ") == 2


def test_findings_quarantine_and_every_artefact_are_named(page: Page) -> None:
    evidence = model_evidence()
    assert page.table_with("Rule")[0][:2] == ["nafld2", "value physically impossible"]
    assert page.table_with("Finding")[0][3:] == ["39,847", "100.0 %"]
    for entry in evidence.lineage:
        assert entry.key in page.text
        assert entry.sha256 in page.text
    assert evidence.prediction_source is not None
    assert evidence.prediction_source.sha256 in page.text


def test_challengers_stand_beside_the_network(page: Page) -> None:
    rows = page.table_with("Model")
    assert [row[0] for row in rows] == [
        "network",
        "logistic regression",
        "hist gradient boosting best challenger",
        "prevalence",
    ]
    paired = model_evidence().populations[0].challengers[1].difference["auroc"]
    assert numbers(rows[2][5])[0] == round(paired.value or 0.0, 3)


def test_limits_are_drawn_for_the_attribute_and_metric_they_judge_and_no_other(page: Page) -> None:
    drawn = [a for _, a in page.tags if a.get("class") == "limit"]
    # The key, and two limits at two levels of sex for each of TPR and FPR.
    assert len(drawn) == 1 + 2 * 2 * 2


def test_the_report_of_predictions_shows_each_measurement_and_its_limit() -> None:
    evidence = prediction_evidence()
    assert evidence.gate is not None
    page = Page(render_prediction_report(evidence))
    assert page.texts[1] == "Passed"
    rows = page.table_with("Measured")
    assert rows[0] == ["predictions", "all", "2,000", "at least 100", "✓ pass"]
    assert len(rows) == len(evidence.gate.lines)
    by_name = dict(zip((line.line for line in evidence.gate.lines), rows, strict=True))
    assert by_name["unknown_code_share"][2:4] == ["0.003", "at most 0.010"]


def test_a_closed_gate_of_predictions_says_what_was_not_measured() -> None:
    gate = GateVerdict(verdict="cannot_tell", reasons=("score_shift_psi was not measured",))
    evidence = prediction_evidence().model_copy(update={"gate": gate})
    text = Page(render_prediction_report(evidence)).text
    assert "Nothing is published." in text
    assert "score_shift_psi was not measured" in text


def test_a_crashed_audit_names_the_class_of_its_error_and_not_its_message() -> None:
    error = ValueError("subject 31337 has hdl 4.2")
    html = render_crash_report("nafld_diabetes", "audit_model", error, lineage("ingest_events"))
    page = Page(html)
    assert page.texts[1] == "Not decided"
    assert "ValueError" in page.text
    assert "31337" not in html
    assert "ingest_events/" in page.text


# ---- one safe, plain, lasting file -----------------------------------------------------------


def all_pages() -> list[str]:
    crash = render_crash_report("nafld_diabetes", "audit_model", ValueError())
    return [
        render_report(model_evidence()),
        render_report(closed_evidence()),
        render_report(unjudged()),
        render_prediction_report(prediction_evidence()),
        crash,
    ]


def test_a_page_asks_the_network_for_nothing_and_runs_nothing() -> None:
    for html in all_pages():
        tags = Page(html).tags
        assert {name for name, _ in tags}.isdisjoint({"script", "iframe", "object", "embed", "img"})
        assert not re.search(r"https?:|//|@import|url\(|javascript:", html.split("<style>")[0])
        assert not re.search(r"https?:|@import|url\(|javascript:", html)
        links = [a.get("href") for name, a in tags if name in ("a", "link")]
        assert all(str(link).startswith(("#", "data:,")) for link in links)
        assert not any(attribute.startswith("on") for _, a in tags for attribute in a)
        assert "default-src 'none'" in html


def hostile(value: Any, key: str = "") -> Any:
    """Every word that a study, a file or a record's level can bring in, made hostile."""
    if isinstance(value, dict):
        # The policy is checked text already: names of metrics and attributes are compared by it.
        return {k: each if k == "policy" else hostile(each, k) for k, each in value.items()}
    if isinstance(value, list):
        return [hostile(each, key) for each in value]
    return value + HOSTILE if key in PROSE and isinstance(value, str) else value


def test_hostile_words_are_shown_as_words(page: Page) -> None:
    harmed = Evidence.model_validate(hostile(model_evidence().model_dump(mode="json")))
    html = render_report(harmed)
    found = Page(html)
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("&lt;script&gt;") > 100
    assert "{{ 7*7 }}" in found.text
    assert {name for name, _ in found.tags} == {name for name, _ in page.tags}
    assert {a for _, attributes in found.tags for a in attributes} == {
        a for _, attributes in page.tags for a in attributes
    }


def test_hostile_words_are_harmless_in_the_report_of_predictions() -> None:
    raw = hostile(prediction_evidence().model_dump(mode="json"))
    html = render_prediction_report(PredictionEvidence.model_validate(raw))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    crash = render_crash_report(HOSTILE, HOSTILE, ValueError())
    assert "<script" not in crash


def test_the_same_evidence_gives_the_same_bytes_in_another_process(
    html: str, tmp_path: Path
) -> None:
    dump_evidence(model_evidence(), tmp_path / "evidence.json")
    program = (
        "import sys; from pathlib import Path\n"
        "from validation.evidence import load_evidence\n"
        "from validation.report.render import render_report\n"
        "page = render_report(load_evidence(Path(sys.argv[1])))\n"
        "Path(sys.argv[2]).write_text(page, encoding='utf-8')\n"
    )
    written = tmp_path / "report.html"
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "evidence.json"), str(written)],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "LANG": "C", "TZ": "Asia/Kolkata"},
    )
    assert written.read_text(encoding="utf-8") == html


def test_a_page_stays_small(html: str) -> None:
    assert len(html.encode()) < 250_000


def test_headings_tables_and_pictures_can_be_read_aloud() -> None:
    for html in all_pages():
        page = Page(html)
        levels = [level for level, _ in page.headings]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert all(a.get("scope") for name, a in page.tags if name == "th")
        for name, attributes in page.tags:
            if name == "svg":
                assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        anchors = {str(a["href"])[1:] for name, a in page.tags if name == "a"}
        assert anchors <= {str(a["id"]) for _, a in page.tags if "id" in a}


def test_sections_come_in_the_order_in_which_they_are_read(page: Page) -> None:
    headings = [words for level, words in page.headings if level == 2]
    opening = ["In short", "What decided it", "What this audit cannot tell"]
    assert headings == opening + [
        heading for anchor, heading, _ in LAYOUTS["risk"].sections if anchor != "changes"
    ]


def contrast(colour: str, ground: str) -> float:
    """WCAG 2 contrast ratio of two #rrggbb colours."""

    def luminance(hexadecimal: str) -> float:
        parts = [int(hexadecimal[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(colour), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_of_text_stands_out_from_its_ground() -> None:
    style = Path("validation/report/templates/style.css").read_text()
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", style))
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for name in ("ink", "soft", "faint", "blue"):
        assert contrast(colours[name], "#ffffff") >= 4.5, name
    for kind in ("pass", "fail", "unsure"):
        for text in (kind, "ink", "soft"):
            assert contrast(colours[text], colours[f"{kind}-wash"]) >= 4.5, (kind, text)


def test_evidence_of_an_almost_empty_audit_still_gives_a_page() -> None:
    bare = Evidence(
        study="bare",
        intended_use="",
        policy=model_evidence().policy,
        populations=(),
    )
    page = Page(render_report(bare))
    assert page.texts[1] == "Not decided"
    assert "No source file is accounted for." in page.text
    assert "No artefact is named." in page.text


def test_pooled_values_stand_beside_the_raw_ones_and_what_chance_makes_beside_the_gaps() -> None:
    evidence = model_evidence()
    population = evidence.populations[-1]
    women, *others = population.groups
    women = women.model_copy(update={"pooled": {"tpr": 0.4321}})
    gap, *gaps = population.gaps
    gap = gap.model_copy(update={"permutation_share": 0.037})
    changed = {"groups": (women, *others), "gaps": (gap, *gaps)}
    populations = (*evidence.populations[:-1], population.model_copy(update=changed))
    page = Page(render_report(evidence.model_copy(update={"populations": populations})))
    row = next(row for table in page.tables for row in table if "pooled 0.432" in " ".join(row))
    assert row[0].startswith(women.level)
    assert "“Pooled” is the same value drawn towards" in page.text
    chances = {
        (row[0], row[1]): row[5]
        for row in page.table_with("By chance as large")
        if row[5] != NOTHING
    }
    assert chances == {(f"{gap.attribute}: {gap.level}", "AUROC"): "3.7 %"}
    assert "“Pooled”" not in Page(render_report(evidence)).text
