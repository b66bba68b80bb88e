"""Whoever lists artefacts lists those of the other machines too: none is silently missed.

Each test makes them on one machine and asks on another, which shares the records and the store
and has no copy of any artefact.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pipelines.artefacts import Recipe
from pipelines.limits_order import LEDGER, note_look, order_of_limits
from pipelines.publication.crosswalk import read_crosswalk, write_crosswalk
from pipelines.publication.erasure import erase
from pipelines.publication.erasure_search import SHARED
from pipelines.publication.store import open_store
from pipelines.remote_artefacts import RemoteArtefacts
from pipelines.remote_files import unavailable
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.study import load_study
from tests.pipelines.publication_examples import STUDY, predictions, publication
from tests.pipelines.test_limits_order import keep_audit
from tests.pipelines.test_limits_order import predict as register
from tests.pipelines.test_shown_before import FIRST, SECOND, audit, names


@pytest.fixture(autouse=True)
def _one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_ARTEFACTS", str(tmp_path / "one"))
    monkeypatch.setenv("EQUIPOISE_ARTEFACTS_URL", f"file://{tmp_path / 'shared'}")


@pytest.fixture
def go_to_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setenv("EQUIPOISE_ARTEFACTS", str(tmp_path / "another"))


def test_what_an_audit_elsewhere_showed_counts_as_shown_before(
    go_to_another_machine: Callable[[], None],
) -> None:
    study = load_study("nafld_diabetes")
    audit(study, FIRST)
    audit(study, SECOND)
    go_to_another_machine()

    assert names(study, SECOND) == [FIRST]


def test_an_audit_elsewhere_tells_that_the_record_of_looks_was_emptied(
    go_to_another_machine: Callable[[], None],
) -> None:
    study = load_study("nafld_diabetes")
    register(study, FIRST)
    note_look(study, FIRST)
    keep_audit(study, FIRST)
    shutil.rmtree(settings().home / LEDGER)
    go_to_another_machine()
    later = study.model_copy(update={"audit": study.audit.model_copy(update={"threshold": 0.3})})
    note_look(later, FIRST)

    assert order_of_limits(later, FIRST) is None


def test_what_another_machine_alone_holds_of_an_erased_subject_is_listed(
    go_to_another_machine: Callable[[], None],
) -> None:
    pairs = pl.DataFrame({"subject_id": [1, 2], "source_id": ["mrn-1", "mrn-2"]})
    write_crosswalk(STUDY, pairs, settings())
    open_store(settings()).publish(publication(1), predictions(1))

    def holding(subject: int, stage: str) -> str:
        def write(draft: Path) -> dict[str, int]:
            (draft / "events").mkdir()
            table = pl.DataFrame({"subject_id": [subject]})
            table.write_parquet(draft / "events" / "00.parquet")
            return {}

        return store().make(Recipe(stage, {}, {}, {}, {}, {}), write).key

    held, _ = holding(2, "ingest_events"), holding(1, "score_subjects")
    go_to_another_machine()

    receipt = erase(STUDY, "mrn-2", "Art. 17 GDPR", "Ada", settings())
    assert receipt.held_by == (held,)
    assert not store().path(held).exists()


def test_a_shared_artefact_that_cannot_be_read_or_a_store_that_is_away_keeps_no_pair(
    go_to_another_machine: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = pl.DataFrame({"subject_id": [1, 2, 3], "source_id": ["mrn-1", "mrn-2", "mrn-3"]})
    write_crosswalk(STUDY, pairs, settings())
    open_store(settings()).publish(publication(1), predictions(1))

    def write(draft: Path) -> dict[str, int]:
        pl.DataFrame({"subject_id": [1]}).write_parquet(draft / "scores.parquet")
        (draft / "weights.bin").write_bytes(b"not fetched")
        return {}

    key = store().make(Recipe("score_subjects", {}, {}, {}, {}, {}), write).key
    go_to_another_machine()
    for name in ("scores.parquet", "weights.bin"):
        for file in (tmp_path / "shared").rglob(name):
            file.chmod(0o600)
            file.write_bytes(b"other bytes")

    receipt = erase(STUDY, "mrn-2", "Art. 17 GDPR", "Ada", settings())
    assert (receipt.held_by, receipt.unread) == ((), (key,))
    assert not [path for path in (tmp_path / "another").rglob("*") if path.is_file()]

    def away(shared: RemoteArtefacts) -> list[str]:
        raise unavailable(shared.url, "ConnectionError")

    monkeypatch.setattr(RemoteArtefacts, "stages", away)
    receipt = erase(STUDY, "mrn-3", "Art. 17 GDPR", "Ada", settings())
    assert receipt.unread == (SHARED,)
    assert read_crosswalk(STUDY, settings())["source_id"].to_list() == ["mrn-1"]
