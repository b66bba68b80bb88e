"""A study's smaller model, by the command: predicted, audited whole, and not released unjudged."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
import yaml
from typer.testing import CliRunner, Result

from pipelines.cli import app
from pipelines.compression import newest_trained
from pipelines.errors import GateClosed
from pipelines.journal import read_entries
from pipelines.releases import current_release, list_releases
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.audit_model import PREDICTIONS, audit_model
from pipelines.stages.check_events import check_events
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.predict_holdout import predict_holdout
from pipelines.stages.release_model import release_model
from pipelines.stages.train_model import train_model
from pipelines.whole_stages import whole_sequences
from tests.dags.installations import quick_study
from validation.evidence import Evidence, load_evidence

pytestmark = pytest.mark.slow

STUDY = "compressed"
# Wide open: what a smaller model owes is asked because a line judges a gap at all.
GAP = {"line": "Ranking, women against men", "metric": "auroc", "on": "holdout", "group": "sex"}


@pytest.fixture(scope="module", autouse=True)
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The audit of the trained model that stands, of a study that names no margins."""
    folder = tmp_path_factory.mktemp("compressed")
    (folder / "studies").mkdir()
    raw = yaml.safe_load(quick_study())
    raw["audit"]["gating"].append(GAP | {"between": [-1.0, 1.0]})
    raw["audit"].pop("compressed_gap_margins", None)
    (folder / "studies" / f"{STUDY}.yaml").write_text(yaml.safe_dump(raw))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(folder / "home"))
        patch.setenv("EQUIPOISE_STUDIES", str(folder / "studies"))
        events = ingest_events(STUDY)
        checks = check_events(STUDY, events)
        sequences = whole_sequences(STUDY, events)
        model = train_model(STUDY, sequences)
        predictions = predict_holdout(STUDY, sequences, model)
        audit = audit_model(STUDY, events, checks, sequences, model, predictions)
        release_model(STUDY, audit)
        yield audit


def compressed() -> Result:
    return CliRunner().invoke(app, ["compress", STUDY, "--form", "onnx_int8", "--release"])


def newest(stage: str) -> str:
    return [entry.key for entry in read_entries(STUDY) if entry.stage == stage][-1]


def evidence_of(audit: str) -> Evidence:
    return load_evidence(store().open(audit) / "evidence.json")


def test_a_smaller_model_without_margins_is_audited_whole_and_leaves_the_release_as_it_stands(
    released: str,
) -> None:
    stood, trained = current_release(STUDY), newest_trained(STUDY)
    told = compressed()
    assert isinstance(told.exception, GateClosed)
    assert "verdict: cannot tell" in told.output
    assert "the study has no margin for gaps in" in told.output
    assert current_release(STUDY) == stood
    assert len(list_releases(STUDY)) == 1

    audit, model = newest("audit_model"), newest("compress_model")
    inputs = store().manifest(audit)["recipe"]["inputs"]
    assert audit != released
    assert (inputs["model"], inputs["uncompressed"]) == (model, trained.predictions)
    before, now = (
        pl.read_parquet(store().open(key) / PREDICTIONS)
        for key in (trained.predictions, inputs["predictions"])
    )
    assert now.columns == before.columns
    assert now["subject_id"].equals(before["subject_id"])
    moved = np.abs(now["score"].to_numpy() - before["score"].to_numpy())
    assert 0.0 < moved.max() < 0.03
    old, new = evidence_of(released), evidence_of(audit)
    assert [each.population for each in new.populations] == [
        each.population for each in old.populations
    ]
    assert old.gate is not None
    assert new.gate is not None
    assert [line.verdict for line in new.gate.lines] == [line.verdict for line in old.gate.lines]
    assert (old.gate.decision, new.gate.decision) == ("release", "close")
    assert newest_trained(STUDY) == trained
    shown = CliRunner().invoke(app, ["show", STUDY])
    assert f"of a smaller form of the trained model: {model}" in shown.output
    assert "would run" not in CliRunner().invoke(app, ["explain", STUDY]).output
    assert (settings().artefacts_dir / audit / "report.html").exists()


def test_a_model_compressed_again_is_not_made_again(released: str) -> None:
    compressed()
    entries = len(list(read_entries(STUDY)))
    compressed()
    assert not any(entry.made for entry in list(read_entries(STUDY))[entries:])
