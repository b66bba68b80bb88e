"""What stands around the numbers: the flow, the outcome, what is watched, the inventory entry."""

import json
from xml.etree import ElementTree as ET

import pytest

from tests.validation.forecast_report_samples import data_evidence as market_data
from tests.validation.forecast_report_samples import forecast_evidence
from tests.validation.html_pages import Page
from tests.validation.report_samples import (
    DECLARED,
    asking_evidence,
    data_evidence,
    model_evidence,
    policy,
)
from validation.data_evidence import DataEvidence, FlowStep
from validation.policy_hash import policy_sha256
from validation.report.flow_chart import flow_chart, flow_words
from validation.report.plans import inventory_entry, monitoring_plan
from validation.report.render import render_report

MISSING = "the study\N{RIGHT SINGLE QUOTATION MARK}s words are not in this evidence"
HOSTILE = "\"><script>alert('x')</script>{{ 7*7 }}"


def drawn(data: DataEvidence, *, is_forecast: bool = False) -> ET.Element:
    chart = flow_chart(data, is_forecast)
    assert chart is not None
    return ET.fromstring(str(chart))  # noqa: S314 - our own markup


def words_of(root: ET.Element) -> list[str]:
    return [each.text or "" for each in root.iter() if each.tag == "text"]


def test_the_diagram_starts_with_everybody_names_who_left_and_ends_in_the_splits() -> None:
    root = drawn(data_evidence())
    assert words_of(root) == [
        "17,549 subjects in the source",
        "11 left: Younger than 18 on the index day",
        "17,538 subjects stayed",
        "2,383 left: Diagnosed with diabetes before the index day",
        "15,155 subjects stayed",
        *("train: 10,609", "476 cases, 3,471 censored"),
        *("validation: 1,515", "68 cases, 490 censored"),
        *("test: 3,031", "146 cases, 991 censored"),
    ]
    assert root.attrib["aria-label"] == flow_words(data_evidence(), is_forecast=False)
    assert "17,538 stayed; 2,383 left (Diagnosed with" in root.attrib["aria-label"]


def test_no_box_or_word_leaves_the_frame_however_long_a_reason_is() -> None:
    long = FlowStep(step="x", words="a reason " * 60, excluded=20, remaining=5)
    root = drawn(data_evidence().model_copy(update={"flow": (long,)}))
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    for each in root.iter("rect"):
        assert float(each.attrib["x"]) + float(each.attrib["width"]) <= width
        assert float(each.attrib["y"]) + float(each.attrib["height"]) <= height
    assert max(len(words) for words in words_of(root)) <= 64


def test_a_step_by_which_nobody_left_is_in_the_words_and_not_in_the_drawing() -> None:
    empty = FlowStep(step="no_enrolment", words="", excluded=0, remaining=17549)
    data = data_evidence()
    data = data.model_copy(update={"flow": (empty, *data.flow)})
    assert not any("no enrolment" in words for words in words_of(drawn(data)))
    assert "0 left (no enrolment)" in flow_words(data, is_forecast=False)
    assert flow_chart(DataEvidence(), False) is None


def test_a_market_counts_rows_and_blocks() -> None:
    words = words_of(drawn(market_data(), is_forecast=True))
    assert words[0] == "165,990 rows in the source"
    assert words[-2:] == ["test: 5,020", "4 blocks of time, 100 unknown"]


def test_what_is_watched_are_the_limits_of_the_policy() -> None:
    watched = {each.what: each.limit for each in monitoring_plan(policy())}
    assert watched == {
        "predictions": "at least 100",
        "scores that are no probability": "none",
        "subjects scored twice": "none",
        "share of events whose code the release does not know": "at most 1.0 %",
        "mean share of inputs missing": "at most 80.0 %",
        "shift of the scores (population stability index)": "at most 0.500",
        "change of the share selected": "at most 20.0 points",
    }
    market = {each.what for each in monitoring_plan(forecast_evidence("volatility").policy)}
    assert "share of scores outside the range of the release's" in market
    assert "change of the share selected" not in market


@pytest.mark.parametrize("name", ["owner", "outcome", "schedule", "not_for"])
def test_declared_words_are_words_on_the_page(name: str) -> None:
    hostile = DECLARED.model_copy(update={name: HOSTILE})
    html = render_report(asking_evidence().model_copy(update={"declared": hostile}))
    assert "<script" not in html
    if name in ("owner", "outcome", "schedule"):
        assert "{{ 7*7 }}" in Page(html).text


def test_a_missing_aspect_of_the_outcome_is_said_to_be_missing() -> None:
    text = Page(render_report(model_evidence())).text
    assert text.count(MISSING) == 5
    told = Page(render_report(asking_evidence())).text
    assert "first diagnosis of diabetes" in told
    assert told.count(MISSING) == 1


def test_the_inventory_entry_is_json_on_the_page_and_names_every_hash() -> None:
    evidence = asking_evidence()
    html = render_report(evidence, audit_key="audit_model/00ff")
    text = Page(html).text
    start = text.index('{ "study"')
    entry, _ = json.JSONDecoder().raw_decode(text[start:])
    assert entry == inventory_entry(evidence, "audit_model/00ff")
    assert entry["owner"] == "Equipoise demonstration"
    assert entry["audit"] == "audit_model/00ff"
    assert entry["model"]["sha256"] == f"{0xA1B2C3D7:064x}"
    assert entry["predictions_sha256"] == "5e" * 32
    assert entry["decision"] == "ask"
    assert entry["approvers"] == 2


def test_another_limit_is_another_policy() -> None:
    assert policy_sha256(policy()) == policy_sha256(policy())
    assert policy_sha256(policy()) != policy_sha256(policy(draws=101))


def test_other_limits_of_a_generation_are_the_same_policy_of_the_model() -> None:
    evidence = asking_evidence()
    stricter = evidence.policy.predictions.model_copy(update={"minimum_rows": 12_345})
    changed = evidence.policy.model_copy(update={"predictions": stricter})
    assert changed != evidence.policy
    again = evidence.model_copy(update={"policy": changed})
    told = inventory_entry(evidence, None)["policy_sha256"]
    assert inventory_entry(again, None)["policy_sha256"] == told == policy_sha256(changed)
