"""One shard or many, in whatever order: the published table is the same."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.publication.store import open_store
from pipelines.settings import settings
from pipelines.shards import shards
from pipelines.stage import store
from pipelines.stages.audit_model import audit_model
from pipelines.stages.audit_predictions import audit_predictions
from pipelines.stages.build_sequences import build_sequences
from pipelines.stages.check_events import check_events
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.merge_events import merge_events
from pipelines.stages.merge_scores import merge_scores
from pipelines.stages.merge_sequences import merge_sequences
from pipelines.stages.predict_holdout import predict_holdout
from pipelines.stages.publish_predictions import publish_predictions
from pipelines.stages.release_model import release_model
from pipelines.stages.score_subjects import score_subjects
from pipelines.stages.train_model import train_model
from tests.dags.installations import quick_study

STUDY, AS_OF = "quick", "2026-11-22"
SHARDED = ("merge_events", "merge_sequences", "merge_scores")
# What differs from one publication of the same rows to the next.
OWN_OF_A_PUBLICATION = ("published_at", "generation_id")


def shuffled(count: int) -> list[str]:
    order = np.random.default_rng(count).permutation(count)
    return [str(shards(count)[number]) for number in order]


def ingested(count: int) -> str:
    return merge_events(STUDY, [ingest_events(STUDY, shard) for shard in shuffled(count)])


def sequences_of(events: str, count: int, as_of: str | None = None) -> str:
    parts = [build_sequences(STUDY, events, shard, as_of) for shard in shuffled(count)]
    return merge_sequences(STUDY, events, parts, as_of)


def published(count: int) -> tuple[dict[str, str], pl.DataFrame]:
    """Key -> content of what was merged, and the table that readers see."""
    events = ingested(count)
    sequences = sequences_of(events, count, AS_OF)
    parts = [score_subjects(STUDY, sequences, shard) for shard in shuffled(count)]
    scores = merge_scores(STUDY, sequences, parts)
    audit = audit_predictions(STUDY, sequences, scores)
    publish_predictions(STUDY, check_events(STUDY, events), scores, audit)
    table = open_store(settings()).read_current(STUDY).drop(OWN_OF_A_PUBLICATION)
    merged = (events, sequences, scores)
    return {key: store().content_sha256(key) for key in merged}, table.sort("subject_id")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An installation with a released model, trained on what three shards were merged to."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / "studies").mkdir()
    (folder / "studies" / f"{STUDY}.yaml").write_text(quick_study())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(folder / "home"))
        patch.setenv("EQUIPOISE_STUDIES", str(folder / "studies"))
        events = ingested(3)
        checks, sequences = check_events(STUDY, events), sequences_of(events, 3)
        model = train_model(STUDY, sequences)
        predictions = predict_holdout(STUDY, sequences, model)
        audit = audit_model(STUDY, events, checks, sequences, model, predictions)
        release_model(STUDY, audit)
        yield folder / "home"


def test_the_published_table_does_not_tell_how_many_shards_there_were(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for count in (1, 3, 8):
        home = tmp_path / str(count)
        shutil.copytree(released, home)
        # Scores and events are made anew; a release rests on sequences, whose key must come again.
        shutil.rmtree(home / "artefacts" / "merge_events")
        monkeypatch.setenv("EQUIPOISE_HOME", str(home))
        found[count] = published(count)
    keys, table = found[1]
    assert {key.partition("/")[0] for key in keys} == set(SHARDED)
    assert table.height > 10_000
    for count in (3, 8):
        assert found[count][0] == keys
        assert found[count][1].equals(table)
        assert found[count][1]["score_calibrated"].to_numpy().tobytes() == (
            table["score_calibrated"].to_numpy().tobytes()
        )
