"""Real scored artefacts, from ingest to table, on a server: read, withdrawn, erased, verified."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from psycopg.rows import dict_row

from pipelines.publication.crosswalk import read_crosswalk
from pipelines.publication.erasure import erase
from pipelines.publication.store import open_store
from pipelines.releases import current_release
from pipelines.settings import settings
from pipelines.stage import store as artefacts
from pipelines.stages.publish_predictions import publish_predictions
from pipelines.stages.release_model import release_model
from tests.dags.installations import quick_study
from tests.flow.test_spine import STUDY, score, train
from tests.publication.servers import login, pipeline_login

DAY = "2026-11-22"


class Analyst:
    """A login of one role that is granted one study, and asks in SQL."""

    def __init__(self, admin_url: str, name: str) -> None:
        self.url = login(admin_url, name, "equipoise_analyst")

    def ask(self, query: str, *values: object) -> list[dict[str, Any]]:
        options = "-c search_path=equipoise"
        with psycopg.connect(self.url, options=options, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), values).fetchall()


@pytest.mark.slow
def test_a_trained_study_lives_its_whole_life_on_a_server(
    admin_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / f"{STUDY}.yaml").write_text(quick_study())
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", pipeline_login(admin_url))
    ada = Analyst(admin_url, "equipoise_test_ada")
    stranger = Analyst(admin_url, "equipoise_test_bob")
    with psycopg.connect(admin_url) as admin:
        grant = "INSERT INTO equipoise.study_grants VALUES ('equipoise_test_ada', %s)"
        admin.execute(grant, (STUDY,))
    before = datetime.now(UTC)

    release_model(STUDY, train())
    checks, scores, audit = score(DAY)
    publish_predictions(STUDY, checks, scores, audit)

    # What an analyst reads is what was scored, decided at the release's threshold.
    current = ada.ask("SELECT * FROM predictions_current ORDER BY subject_id")
    scored = pl.read_parquet(artefacts().open(scores) / "scores.parquet").sort("subject_id")
    assert [row["subject_id"] for row in current] == scored["subject_id"].to_list()
    assert [row["score"] for row in current] == scored["score_raw"].to_list()
    release = current_release(STUDY)
    assert {row["release_id"] for row in current} == {release.release_id}
    assert all(row["decision"] == (row["score_calibrated"] >= 0.1) for row in current)
    counted = "SELECT count(*) AS found FROM {}"
    assert stranger.ask(counted.format("predictions_current")) == [{"found": 0}]
    as_of = counted.format("predictions_as_of(%s)")
    assert ada.ask(as_of, date.fromisoformat(DAY)) == [{"found": len(current)}]
    assert ada.ask(as_of, date(2026, 11, 21)) == [{"found": 0}]
    seen_at, published = counted.format("predictions_seen_at(%s)"), datetime.now(UTC)
    assert ada.ask(seen_at, before) == [{"found": 0}]

    store = open_store(settings())
    store.withdraw(STUDY, "wrong units", "Grace")
    assert ada.ask(counted.format("predictions_current")) == [{"found": 0}]
    assert ada.ask(counted.format("predictions_withdrawn")) == [{"found": len(current)}]
    assert ada.ask(seen_at, published) == [{"found": len(current)}]

    person = read_crosswalk(STUDY, settings()).join(scored, on="subject_id").row(0, named=True)
    receipt = erase(STUDY, person["source_id"], "Art. 17 GDPR", "Grace", settings())
    assert receipt.rows == 1
    assert scores in receipt.held_by
    assert ada.ask(seen_at, published) == [{"found": len(current) - 1}]
    assert person["subject_id"] not in {
        row["subject_id"] for row in ada.ask("SELECT subject_id FROM predictions_withdrawn")
    }
    assert store.verify() == ()
    with psycopg.connect(admin_url) as admin:
        readers = admin.execute("SELECT DISTINCT reader FROM equipoise.access_log").fetchall()
    # Bob's queries ended before predictions were reached: he read none.
    assert ("equipoise_test_ada",) in readers
