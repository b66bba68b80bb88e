"""What the store's rows name is needed, withdrawn or not: in either store."""

from pipelines.publication.store import PublicationStore
from pipelines.publication.store_keys import keys_in_store
from pipelines.settings import Settings
from tests.pipelines.publication_examples import PASSED, STUDY, predictions, publication


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
