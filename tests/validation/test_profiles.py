"""Profiles of rules are data: a new file shows up, a careless one is refused, an item counts only
where its evidence is really there."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.validation.forecast_report_samples import forecast_evidence
from tests.validation.html_pages import Page
from tests.validation.report_samples import asking_evidence, model_evidence
from validation.evidence import Evidence, dump_evidence
from validation.profiles.__main__ import main
from validation.profiles.coverage import Coverage, coverage_of, is_there
from validation.profiles.reading import SHIPPED, ProfileInvalid, load_profile, load_profiles
from validation.report.render import render_report, section_anchors

HOUSE = """
id: house
title: "House rules <script>"
source: our own
rule_date: 2026-01-02
in_force: now
items:
  - {id: "1", text: a number, status: measured, evidence: ["populations[].overall.metrics"]}
  - {id: "2", text: words, status: declared, evidence: [declared.owner]}
  - {id: "3", text: essay, status: owner_must_write}
  - {id: "4", text: none, status: not_applicable, because: it is no bridge}
"""


def raw_of(evidence: Evidence) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(evidence.model_dump_json())
    return found


def written(folder: Path, text: str = HOUSE, name: str = "house") -> Path:
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def covered(evidence: Evidence, *folders: Path) -> dict[str, Coverage]:
    found = coverage_of(load_profiles(*folders), raw_of(evidence), section_anchors(evidence))
    return {each.profile.id: each for each in found}


def test_the_shipped_profiles_have_as_many_items_as_their_rules() -> None:
    items = {profile.id: len(profile.items) for profile in load_profiles()}
    assert items["hti_1"] == 31
    # 27 numbered items, most of them in parts.
    tripod = next(profile for profile in load_profiles() if profile.id == "tripod_ai")
    assert len({item.id.rstrip("abcdefg") for item in tripod.items}) == 27
    assert items["tripod_ai"] == 52
    # The leaves of CHAI's schema, an interpretation and a test in each of three metrics as one.
    assert items["chai_model_card"] == 39
    assert {profile.id for profile in load_profiles() if profile.legacy} == {"sr_11_7"}


def test_a_new_file_in_a_folder_is_a_new_profile_without_any_code(tmp_path: Path) -> None:
    profiles = load_profiles(SHIPPED, written(tmp_path))
    html = render_report(model_evidence(), profiles=profiles)
    row = next(
        row for row in Page(html).table_with("Profile") if row[0].startswith("House rules <script>")
    )
    # One of three items that apply is there: measured 1, declared 0, lacking 1, to write 1.
    assert row[1:] == ["33.3 %", "1", "0", "1", "1", "3"]
    assert "<script" not in html


def test_an_item_counts_only_where_its_evidence_is_really_there(tmp_path: Path) -> None:
    folder = written(tmp_path)
    assert covered(model_evidence(), folder)["house"].share == pytest.approx(1 / 3)
    assert covered(asking_evidence(), folder)["house"].share == pytest.approx(2 / 3)
    nothing = model_evidence().model_copy(update={"populations": ()})
    assert covered(nothing, folder)["house"].share == 0.0


def test_a_rule_for_patients_asks_nothing_of_a_market_and_the_other_way_round() -> None:
    market = covered(forecast_evidence("volatility"))
    assert {name for name, each in market.items() if each.share is None} == {
        *("chai_model_card", "hti_1", "section_1557", "tripod_ai"),
    }
    risk = covered(model_evidence())
    assert {name for name, each in risk.items() if each.share is None} == {"sr_11_7", "sr_26_2"}
    shares = [each.share for each in (*market.values(), *risk.values())]
    assert all(share is None or share > 0.2 for share in shares)


def test_every_path_of_a_shipped_profile_leads_somewhere_in_some_audit_or_names_a_group() -> None:
    """A mistyped path would never count and nobody would know."""
    audits = [raw_of(asking_evidence()), raw_of(forecast_evidence("volatility"))]
    sections = {*section_anchors(asking_evidence(), model_evidence())}
    # Groups and harms that these samples do not have, and other studies do.
    elsewhere = {
        *("declared.owner", "declared.not_for"),
        *(f"populations[].gaps[attribute={name}].estimate.value" for name in GROUPS),
    }
    for profile in load_profiles():
        for item in profile.items:
            for path in item.evidence:
                found = any(is_there(path, raw, sections) for raw in audits)
                assert found or path in elsewhere, (profile.id, item.id, path)


GROUPS = ("race", "national_origin", "disability")
RAW: dict[str, Any] = {
    "a": {"b": [{"kind": "x", "value": None}, {"kind": "y", "value": 0}], "empty": [], "no": False}
}


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("a.b[].value", True),
        ("a.b[kind=x].value", False),
        ("a.b[kind=y].value", True),
        ("a.b[kind=z].value", False),
        ("a.b[].other", False),
        ("a.b.value", False),
        ("a.empty", False),
        ("a.no", True),
        ("a.absent.deeper", False),
        ("a[].b", False),
        ("section:groups", True),
        ("section:nothing", False),
    ],
)
def test_a_path_leads_to_something_or_not(path: str, there: bool) -> None:
    assert is_there(path, RAW, {"groups"}) is there


def test_a_path_that_is_none_is_an_error_and_no_quiet_no() -> None:
    with pytest.raises(ValueError, match="not a step"):
        is_there("a.b[=].c", RAW, set())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HOUSE.replace("evidence: [declared.owner]", "evidence: []"), "declared needs evidence"),
        (HOUSE.replace("status: owner_must_write", "status: done"), "Input should be"),
        (HOUSE.replace("owner_must_write}", "owner_must_write, evidence: [study]}"), "has no"),
        (HOUSE.replace(", because: it is no bridge", ""), "`because` belongs"),
        (HOUSE.replace("declared.owner", "declraed.owner"), "no 'declraed'"),
        (HOUSE.replace('id: "2"', 'id: "1"'), "items named twice"),
        (HOUSE + "colour: red\n", "Extra inputs"),
        (HOUSE + "id: again\n", "stands twice"),
        (HOUSE.replace("2026-01-02", "soon"), "rule_date"),
        ("a: &x [1]\nb: *x\n", "alias"),
        ("- [", "expected"),
        ("", "valid dictionary"),
    ],
)
def test_a_careless_profile_is_refused_and_named(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text) / "house.yaml"
    with pytest.raises(ProfileInvalid, match=words) as refused:
        load_profile(path)
    assert "house.yaml" in str(refused.value)


def test_two_profiles_of_one_name_are_refused(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path, name="copy")
    with pytest.raises(ProfileInvalid, match="one name"):
        load_profiles(tmp_path)


def test_the_command_prints_each_profile_and_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "evidence.json"
    dump_evidence(model_evidence(), file)
    folder = tmp_path / "more"
    folder.mkdir()
    main([str(file), "--folder", str(written(folder)), "--missing"])
    printed = capsys.readouterr().out
    assert "house                 33.3%  1 of 3 items: 1 measured, 0 declared; 1 lack" in printed
    assert "  2: words (declared.owner)" in printed
    assert "sr_26_2              does not concern this study" in printed
