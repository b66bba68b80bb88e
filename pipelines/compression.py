"""A smaller form of a study's newest audited model: what it was made of, and how it compares."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from threadpoolctl import threadpool_limits

from pipelines.errors import ArtefactCorrupt, SourceMissing
from pipelines.journal import read_entries
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.study import Study
from validation.compression.records import CompressionEvidence
from validation.compression.worsening import compared_with_uncompressed

COMPRESSED = "compress_model"
UNCOMPRESSED = "uncompressed"
UNDER_THRESHOLDS = "decisions by each group's own threshold are not compared"


@dataclass(frozen=True)
class Trained:
    """The artefacts of an audit of a trained model."""

    events: str
    checks: str
    sequences: str
    model: str
    predictions: str


def newest_trained(study: str) -> Trained:
    """Those of the study's newest audit of a model that its training wrote.

    Raises:
        SourceMissing: no such audit is kept.
    """
    for entry in reversed([one for one in read_entries(study) if one.stage == "audit_model"]):
        inputs = _inputs(entry.key)
        if inputs is not None and not is_smaller(inputs["model"]):
            names = ("events", "checks", "sequences", "model", "predictions")
            return Trained(**{name: inputs[name] for name in names})
    raise SourceMissing(
        f"{study} has no audited model yet.",
        where=str(settings().artefacts_dir / "audit_model"),
        remedy=f"Train and audit it: equipoise run {study}",
    )


def is_smaller(model: str) -> bool:
    """Whether a model's key is of a smaller form, and not of what a training wrote."""
    return model.startswith(f"{COMPRESSED}/")


def smaller_model_of(key: str) -> str | None:
    """The smaller model that predictions or an audit are of.

    None of a trained model's, of what rests on no model, and where nothing is kept any more.
    """
    model = (_inputs(key) or {}).get("model")
    return model if model is not None and is_smaller(model) else None


def _inputs(artefact: str) -> dict[str, str] | None:
    try:
        found: dict[str, str] = store().manifest(artefact)["recipe"]["inputs"]
    except ArtefactCorrupt:
        return None
    return found


def uncompressed_predictions(model: str) -> str | None:
    """The predictions of the model that a smaller one was made of; None of a trained model."""
    if not is_smaller(model):
        return None
    return str(store().manifest(model)["recipe"]["inputs"]["predictions"])


def against_uncompressed(
    spec: Study, model: str, predictions: pl.DataFrame, table: Path
) -> CompressionEvidence:
    """What the smaller model changed. table: of the predictions of the one it was made of."""
    recipe: dict[str, Any] = store().manifest(model)["recipe"]
    form, key = str(recipe["config"]["form"]), str(recipe["inputs"]["predictions"])
    if spec.mitigation is not None and spec.mitigation.group_thresholds is not None:
        return CompressionEvidence(form=form, uncompressed=key, reason=UNDER_THRESHOLDS)
    # In one thread: see performance_of.
    with threadpool_limits(limits=1):
        return compared_with_uncompressed(
            predictions, pl.read_parquet(table), spec.audit, form=form, key=key
        )
