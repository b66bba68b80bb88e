"""Prune over real studies: every answer, report and lineage is there afterwards, and a run too."""

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.approvals.answered_report import report_with_answers
from pipelines.explain import explain_study
from pipelines.journal import read_entries
from pipelines.needed_artefacts import keys_of
from pipelines.prune import carry_out, plan_prune
from pipelines.publication.store import open_store
from pipelines.reasons import write_page
from pipelines.releases import list_releases
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.explain_predictions import explain_predictions
from pipelines.stages.publish_predictions import publish_predictions
from pipelines.stages.release_model import release_model
from pipelines.stages.train_model import train_model
from pipelines.whole_stages import whole_events, whole_sequences
from tests.dags.installations import quick_study
from tests.flow.test_spine import STUDY, score, train

DAYS = ("2026-11-20", "2026-11-22")
MONTH_SECONDS = 30 * 24 * 3600


def change(studies: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    raw = yaml.safe_load(quick_study())
    edit(raw)
    (studies / f"{STUDY}.yaml").write_text(yaml.safe_dump(raw))


def with_seed(seed: int) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw["model"].update(seeds=[seed])


def let_a_month_pass() -> None:
    """All that lies there, and all that the journal tells, is a month older."""
    then = time.time() - MONTH_SECONDS
    for folder in settings().artefacts_dir.glob("*/*"):
        os.utime(folder, (then, then))
    journal = settings().journal_dir / "stages.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        line["at_unix"] -= MONTH_SECONDS
    journal.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))


def answers() -> list[list[dict[str, Any]]]:
    tables = [open_store(settings()).read_as_of(STUDY, date.fromisoformat(day)) for day in DAYS]
    tables += [open_store(settings()).read_current(STUDY)]
    return [table.sort("subject_id").to_dicts() for table in tables]


def lineage(key: str) -> set[str]:
    """A key and all it was made of, each file verified."""
    store().open(key)
    inputs = store().manifest(key)["recipe"]["inputs"].values()
    return {key}.union(*(lineage(made_of) for made_of in inputs))


@pytest.mark.slow
def test_after_a_prune_every_answer_report_and_lineage_is_there_and_a_run_makes_nothing_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    (tmp_path / "studies").mkdir()
    # A model that nobody audited; then two that were released, of which the later stands.
    change(tmp_path / "studies", lambda raw: raw["model"].update(hidden_size=8, max_epochs=1))
    unaudited = train_model(STUDY, whole_sequences(STUDY, whole_events(STUDY)))
    content = store().content_sha256(unaudited)
    audits = []
    for seed in (1, 0):
        change(tmp_path / "studies", with_seed(seed))
        audits.append(train())
        release_model(STUDY, audits[-1])
        checks, scores, audit = score(DAYS[len(audits) - 1])
        sequences = store().manifest(scores)["recipe"]["inputs"]["sequences"]
        explained = explain_predictions(STUDY, sequences, scores)
        publish_predictions(STUDY, checks, scores, audit, explained)
    subject = open_store(settings()).read_current(STUDY)["subject_id"].item(0)
    page = write_page(STUDY, subject).read_text()
    before, there = answers(), set(keys_of(store()))
    let_a_month_pass()

    plan = plan_prune(store(), settings())
    carry_out(plan, store())

    gone = there - set(keys_of(store()))
    assert unaudited in gone
    # Shards that were merged, too: nothing was made of them.
    assert any(key.startswith("build_sequences/") for key in gone)
    assert answers() == before
    assert open_store(settings()).verify() == ()
    for listed in list_releases(STUDY):
        release = listed.release
        assert {release.events_key, release.sequences_key} <= lineage(release.audit_key)
    for audit in audits:
        assert report_with_answers(audit).exists()
    shutil.rmtree(settings().home / "explanations")
    assert write_page(STUDY, subject).read_text() == page
    assert {line.state for line in explain_study(STUDY)} == {"would reuse"}

    entries = len(list(read_entries(STUDY)))
    assert train() == audits[-1]
    assert publish_predictions(STUDY, *score(DAYS[-1])) is not None
    assert not any(
        entry.made
        for entry in list(read_entries(STUDY))[entries:]
        if entry.stage not in ("publish_predictions",)
    )
    change(tmp_path / "studies", lambda raw: raw["model"].update(hidden_size=8, max_epochs=1))
    assert train_model(STUDY, whole_sequences(STUDY, whole_events(STUDY))) == unaudited
    assert store().content_sha256(unaudited) == content
