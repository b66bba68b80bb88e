"""A mitigation, from the artefacts of an audit: fitted, applied, compared with before."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.performance import Performance, performance_of
from pipelines.shown_before import decided_by
from pipelines.study import Study
from pipelines.training_mitigation import TWIN
from validation.disclosure.memory import ShownBefore
from validation.groups import UnauditableTable
from validation.mitigation.config import MitigationConfig
from validation.mitigation.mitigated import (
    before_and_after,
    decided_scores,
    mitigated_populations,
)
from validation.mitigation.records import (
    THRESHOLD,
    MitigationEvidence,
    MitigationName,
    ThresholdTable,
)
from validation.mitigation.table import thresholds_of
from validation.mitigation.thresholds import fit_thresholds
from validation.ranking import FloatArray

TABLE = "thresholds.json"


@dataclass(frozen=True)
class Mitigated:
    """An audit under a mitigation. predictions have `threshold` where groups have their own."""

    found: Performance
    predictions: pl.DataFrame
    evidence: MitigationEvidence | None = None


def mitigated(
    spec: Study,
    model: Path,
    predictions: pl.DataFrame,
    found: Performance,
    before: Sequence[ShownBefore] = (),
    scored_by: str = "",
) -> Mitigated:
    """The audit as it was found, or, where the study mitigates, as subjects are decided on.

    Args:
        model: the artefact that made the predictions, which holds the twin's scores.
        found: the audit of the predictions at the study's threshold.
        before, scored_by: what earlier audits showed, and model and threshold of `found`.
    """
    config = spec.mitigation
    if config is None or found.reason is not None:
        return Mitigated(found, predictions)
    try:
        return _mitigated(spec, config, model, predictions, found, before, scored_by)
    except UnauditableTable as error:
        reason = f"the mitigation cannot be audited: {error}"
        return Mitigated(replace(found, reason=reason), predictions)


def _mitigated(
    spec: Study,
    config: MitigationConfig,
    model: Path,
    predictions: pl.DataFrame,
    found: Performance,
    before: Sequence[ShownBefore],
    scored_by: str,
) -> Mitigated:
    policy, own = spec.audit, config.group_thresholds
    limits: FloatArray | None = None
    table: ThresholdTable | None = None
    if own is not None:
        table = fit_thresholds(predictions, config.attribute, policy.selected_from, own)
        limits = thresholds_of(predictions[config.attribute], table)
    evidence = before_and_after(
        predictions, _before(config, model, predictions), limits, policy, _declared(config, table)
    )
    if limits is None or table is None:
        return Mitigated(found, predictions, evidence)
    moved, by = decided_scores(predictions, limits, policy), decided_by(scored_by, table)
    decided = performance_of(spec, moved, before, by)
    if decided.reason is not None:
        return Mitigated(decided, predictions)
    merged = mitigated_populations(found.populations, decided.populations)
    found = replace(
        found,
        populations=merged,
        checks=(*found.checks, *decided.checks),
        memories=(*found.memories, *decided.memories),
    )
    return Mitigated(found, predictions.with_columns(pl.Series(THRESHOLD, limits)), evidence)


def _declared(config: MitigationConfig, table: ThresholdTable | None) -> MitigationEvidence:
    done: dict[MitigationName, bool] = {
        "reweighing": config.reweighing,
        "group_robust": config.group_robust is not None,
        "group_thresholds": config.group_thresholds is not None,
    }
    return MitigationEvidence(
        kinds=tuple(name for name, is_done in done.items() if is_done),
        attribute=config.attribute,
        least_selected_share=config.least_selected_share,
        table=table,
    )


def _before(
    config: MitigationConfig, model: Path, predictions: pl.DataFrame
) -> pl.DataFrame | None:
    """The predictions with the twin's scores; None where no twin was trained."""
    if not config.trains_otherwise:
        return None
    scores = {}
    for name in ("score", "score_cross_fitted"):
        path = model / TWIN / f"{name}.npy"
        if name in predictions.columns:
            if not path.is_file():
                raise UnauditableTable(f"the model trained without the mitigation has no {name}")
            scores[name] = pl.Series(name, np.load(path, allow_pickle=False)).fill_nan(None)
    # The seeds are of the mitigated ensemble, which is another one.
    return predictions.drop(pl.selectors.starts_with("score_seed_")).with_columns(**scores)


def write_table(evidence: MitigationEvidence | None, folder: Path) -> None:
    """Write the table of thresholds beside the evidence, where there is one."""
    if evidence is not None and evidence.table is not None:
        words = evidence.table.model_dump(mode="json")
        (folder / TABLE).write_text(json.dumps(words, indent=1, ensure_ascii=False) + "\n")
