"""HTML, JavaScript and SQL in the place of a name are words: nothing runs, nothing is dropped."""

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from pipelines.publication.duckdb import publish
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.store import open_store
from pipelines.releases import Release
from pipelines.settings import settings
from tests.pipelines.publication_examples import directions, publication, recorded_release
from tests.validation.audit_examples import (
    CHALLENGERS,
    gating_line,
    policy,
    simulated,
    sound_data,
)
from tests.validation.html_pages import Page
from validation.audit import audit_predictions_table
from validation.data_evidence import CheckResult, Finding
from validation.evidence import Evidence, PredictionSource
from validation.gate import judge
from validation.report.render import render_report

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<svg/onload=alert(1)>",
    "</style><iframe src=javascript:alert(1)>",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "'; DROP TABLE audits; --",
    "javascript:alert(1)",
    "<!-- -->&lt;b&gt;\N{RIGHT-TO-LEFT OVERRIDE}",
)
STANDARD = simulated(subjects=600)


def page_with(name: str) -> Page:
    """The report of an audit in which everything that bears a name bears this one."""
    frame = STANDARD.with_columns(
        sex=pl.when(pl.col("sex") == "male").then(pl.lit(name)).otherwise("sex")
    )
    config = policy(
        crossings=[],
        bootstrap_draws=100,
        gating=[
            gating_line(line=name),
            gating_line(line=f"{name} 2", metric="tpr", group="sex", between=[-0.2, 0.2]),
            gating_line(line="n", against="best_challenger", at_least=-0.02),
        ],
    )
    data = sound_data()
    check = CheckResult(name=name, table=name, kind="rule", passed=False, words=name)
    evidence = Evidence(
        study=name,
        intended_use=name,
        policy=config,
        populations=audit_predictions_table(frame, config, challengers=CHALLENGERS),
        data=data.model_copy(
            update={
                "checks": (*data.checks, check),
                "findings": (Finding(kind=name, where=name, words=name, count=3),),
            }
        ),
        data_limits=(name,),
        prediction_source=PredictionSource(key=name, sha256="0" * 64),
    )
    judged = evidence.model_copy(update={"gate": judge(evidence, config)})
    return Page(render_report(judged))


PLAIN = page_with("a plain name")


def attributes(page: Page) -> list[tuple[str, str, str]]:
    return [(tag, name, value or "") for tag, named in page.tags for name, value in named.items()]


def links_away(page: Page) -> set[str]:
    """Where a click leads that is no place of the page: the sources of the rules, at most."""
    named = [value for _, key, value in attributes(page) if key in ("href", "action")]
    return {link for link in named if not link.startswith("#")}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_as_a_word_and_adds_no_element(name: str) -> None:
    page = page_with(name)
    # The same elements, in number and kind, as a report with plain names.
    assert sorted({tag for tag, _ in page.tags}) == sorted({tag for tag, _ in PLAIN.tags})
    assert not {"script", "iframe", "img", "object", "embed"} & {tag for tag, _ in page.tags}
    named = attributes(page)
    assert not [one for one in named if one[1].startswith("on")]
    assert not [one for one in named if one[1] in ("src", "srcdoc", "formaction")]
    assert links_away(page) == links_away(PLAIN)
    assert " ".join(name.split()) in page.text


def test_the_page_forbids_scripts_and_requests_itself() -> None:
    meta = [dict(named) for tag, named in PLAIN.tags if tag == "meta"]
    policies = [one["content"] for one in meta if one.get("http-equiv")]
    assert policies
    assert "default-src 'none'" in str(policies[0])


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    return recorded_release("toy_direction", threshold=0.5)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_instrument_is_published_as_it_is_and_drops_no_table(
    name: str, standing: Release
) -> None:
    rows = directions(1).with_columns(
        instrument=pl.format("{} {}", pl.lit(name), "subject_id"), instrument_group=pl.lit(name)
    )
    publish(publication(1, of=standing), rows, settings())
    shown = open_store(settings()).read_current(standing.study)
    assert set(shown["instrument"]) == {f"{name} {number}" for number in range(1, 5)}
    assert tables() >= {"audits", "releases", "predictions"}


def tables() -> set[Any]:
    writer = PublicationFolders(settings().publication_dir).writer
    with duckdb.connect(writer, read_only=True) as reader:
        return {row[0] for row in reader.sql("SELECT table_name FROM duckdb_tables()").fetchall()}
