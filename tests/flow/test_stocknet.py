"""A source of one's own becomes a study by YAML alone, up to an audit by sector."""

import os
import shutil
from pathlib import Path

import pytest

from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.audit_model import audit_model
from pipelines.stages.check_events import check_events
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.predict_holdout import predict_holdout
from pipelines.stages.train_model import train_model
from pipelines.whole_stages import whole_sequences
from validation.evidence import Evidence, load_evidence

STUDY = "stocknet_volatility"
HERE = Path(__file__).parent
FILES = ("prices.parquet", "StockTable.tsv")
DEVELOPMENT_DATA = os.environ.get("EQUIPOISE_DEVELOPMENT_DATA")
FOLDER = Path(DEVELOPMENT_DATA or "") / "stocknet"
BARS, EMPTY, QUARANTINED = 108_592, 3, 1
INSTRUMENTS, SECTORS = 88, 9

pytestmark = pytest.mark.skipif(
    DEVELOPMENT_DATA is None or not all((FOLDER / name).is_file() for name in FILES),
    reason="the folder stocknet is not in EQUIPOISE_DEVELOPMENT_DATA",
)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """What the audit found, in an installation that holds the YAML and links to the data."""
    folder = tmp_path_factory.mktemp("stocknet")
    studies = folder / "studies"
    studies.mkdir()
    shutil.copy(HERE / "studies" / f"{STUDY}.yaml", studies)
    for name in FILES:
        (studies / name).symlink_to(FOLDER / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(folder / "home"))
        patch.setenv("EQUIPOISE_STUDIES", str(studies))
        assert settings().studies_dir == studies
        return load_evidence(store().open(_audited()) / "evidence.json")


def _audited() -> str:
    events = ingest_events(STUDY)
    checks = check_events(STUDY, events)
    sequences = whole_sequences(STUDY, events)
    model = train_model(STUDY, sequences)
    predictions = predict_holdout(STUDY, sequences, model)
    return audit_model(STUDY, events, checks, sequences, model, predictions)


def test_every_row_of_the_source_is_accounted_for(evidence: Evidence) -> None:
    files = evidence.data.files
    bars = [file for file in files if file.file.startswith("prices.parquet")]
    names = [file for file in files if file.file.startswith("StockTable.tsv")]

    assert all(file.adds_up for file in files)
    assert [(file.rows_in, file.empty, file.quarantined) for file in bars] == [
        (BARS, EMPTY, QUARANTINED)
    ] * 6
    assert [file.rows_in for file in names] == [INSTRUMENTS]


def test_the_flow_starts_with_every_bar_and_each_step_with_those_who_remained(
    evidence: Evidence,
) -> None:
    steps = evidence.data.flow
    remaining = BARS - EMPTY - QUARANTINED

    assert [step.step for step in steps] == ["no_session", "late", "history"]
    for step in steps:
        assert step.excluded + step.remaining == remaining
        remaining = step.remaining
    # The first 66 sessions of every instrument are too few to predict from.
    assert steps[-1].excluded == 66 * INSTRUMENTS


def test_the_audit_has_every_sector(evidence: Evidence) -> None:
    populations = {one.population: one for one in evidence.populations}

    assert set(populations) == {"holdout", "walk_forward"}
    for population in populations.values():
        sectors = [group for group in population.groups if group.attribute == "sector"]
        assert len(sectors) == SECTORS
        assert sum(group.counts.rows or 0 for group in sectors) == population.overall.counts.rows
    sectors = [one for one in populations["walk_forward"].groups if one.attribute == "sector"]
    assert all(0 < (group.metrics["mae"].value or 0.0) < 0.2 for group in sectors)


def test_the_gate_has_judged_and_says_what_the_universe_cannot_show(evidence: Evidence) -> None:
    assert evidence.gate is not None
    assert evidence.is_point_in_time is False
    assert "survivorship" in {harm.harm for harm in evidence.harms}
