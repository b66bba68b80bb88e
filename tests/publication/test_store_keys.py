"""What the store's rows name is needed, withdrawn or not: in either store."""

from pathlib import Path

import psycopg
import pytest

from pipelines.errors import DatabaseUnavailable
from pipelines.publication.store import PublicationStore
from pipelines.publication.store_keys import keys_in_store
from pipelines.settings import Settings, settings
from tests.pipelines.publication_examples import PASSED, STUDY, predictions, publication
from tests.publication.servers import pipeline_login


def test_every_key_that_a_row_names_is_told_of_a_withdrawn_generation_too(
    store: PublicationStore, home: Settings
) -> None:
    assert keys_in_store(home) == set()
    for number in (1, 2):
        store.publish(publication(number), predictions(number))
    store.withdraw(STUDY, "wrong units", "Grace")

    release = publication(1).release
    stages = ("score_subjects", "ingest_events", "build_sequences")
    assert keys_in_store(home) == {
        *(f"{stage}/{number:04d}" for stage in stages for number in (1, 2)),
        *(release.model_key, release.audit_key, release.events_key, release.sequences_key),
        PASSED.audit_id,
    }


def test_a_login_that_sees_some_studies_alone_is_refused(
    admin_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", pipeline_login(admin_url))
    assert keys_in_store(settings()) == set()
    with psycopg.connect(admin_url, options="-c search_path=equipoise") as by_hand:
        by_hand.execute("UPDATE study_grants SET study = 'another_study' WHERE study = '*'")
    with pytest.raises(DatabaseUnavailable, match="not read the publications of every study"):
        keys_in_store(settings())
    # A superuser passes by every policy.
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", admin_url)
    assert keys_in_store(settings()) == set()
