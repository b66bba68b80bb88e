"""audit_model: evidence, verdict and report. It judges and does not raise: evidence outlives it."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.artefacts import Counts, Recipe
from pipelines.compression import UNCOMPRESSED, against_uncompressed, uncompressed_predictions
from pipelines.declaration import declaration_of, own_words
from pipelines.errors import GateClosed
from pipelines.evidence import data_evidence, is_point_in_time, lineage, model_summary
from pipelines.incumbent_evidence import against_incumbent
from pipelines.incumbents import NOT_READABLE, NOTHING_STANDS, incumbent_of
from pipelines.limits_order import note_look, order_of_limits
from pipelines.manifests import hash_file
from pipelines.merged_sequences import OTHER_LABELS
from pipelines.mitigation_evidence import Mitigated, mitigated, write_table
from pipelines.patient_harm_evidence import with_tests
from pipelines.performance import Performance, performance_of
from pipelines.provenance import broken_links
from pipelines.shown_before import fingerprints, scored_by, shown_before, write_memories
from pipelines.source_code import data_hashes
from pipelines.stage import open_inputs, recipe_of, run_stage
from pipelines.study import Study, load_study
from pipelines.trial_record import note_trial, overfitting, trials_fingerprint, tuning_trials
from validation.compression.records import CompressionEvidence
from validation.data_evidence import DataEvidence
from validation.disclosure.view import for_readers
from validation.evidence import (
    Evidence,
    LimitsOrder,
    PredictionSource,
    dump_evidence,
    load_evidence,
)
from validation.gate import closed, judge
from validation.groups import UnauditableTable
from validation.incumbent import IncumbentEvidence
from validation.report.render import render_crash_report, render_json, render_report

PREDICTIONS = "predictions.parquet"
# The audit that the release rests on which stands, to say what has changed since.
PREVIOUS = "previous_audit"
LIBRARIES = ("polars", "numpy", "scipy", "scikit-learn", "fairlearn", "jinja2")
# What the recipe says of a release whose predictions cannot be compared.
UNREADABLE = "unreadable"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Around:
    """What a report says beside the evidence: which audit it is, and which one was before it."""

    audit_key: str
    previous: Evidence | None


def audit_model(
    study: str, events: str, checks: str, sequences: str, model: str, predictions: str
) -> str:
    """Measure, judge by the study's lines, write evidence.json, report.html and report.json.

    Raises:
        GateClosed: the artefacts were not made of one another.
    """
    keys = {"sequences": sequences, "model": model, "predictions": predictions}
    spec = load_study(study)
    # Before anybody can know whether it pleases: what was looked at was tried.
    note_trial(spec, keys)
    note_look(spec, predictions)
    recipe = recipe_for(study, events, checks, sequences, model, predictions)
    if odd := broken_links(recipe.inputs):
        raise GateClosed(
            "The artefacts to audit do not belong together:\n"
            + "\n".join(f"  {words}" for words in odd),
            where="audit_model",
            remedy="Run the flow again from the stage whose key is odd, with all that follows it.",
        )
    return run_stage(study, recipe, lambda draft: _write(spec, recipe, draft)).key


def recipe_for(
    study: str, events: str, checks: str, sequences: str, model: str, predictions: str
) -> Recipe:
    """What decides the evidence: every artefact before it, the policy, the study's words, the
    model that stands and whether the limits were there first."""
    spec = load_study(study)
    incumbent, order = incumbent_of(study, model), order_of_limits(spec, predictions)
    keys = {
        "events": events,
        "checks": checks,
        "sequences": sequences,
        "model": model,
        "predictions": predictions,
    }
    uncompressed = uncompressed_predictions(model)
    if uncompressed is not None:
        keys[UNCOMPRESSED] = uncompressed
    if incumbent is not None and incumbent.predictions is not None:
        keys["incumbent"] = incumbent.predictions
    if incumbent is not None and incumbent.audit is not None:
        keys[PREVIOUS] = incumbent.audit
    return recipe_of(
        "audit_model",
        config={
            "audit": spec.audit.model_dump(mode="json"),
            "trials": trials_fingerprint(spec),
            "incumbent": incumbent and (incumbent.predictions or UNREADABLE),
            "limits_order": order and asdict(order),
            "shown_before": fingerprints(shown_before(spec, predictions)),
            "mitigation": spec.mitigation and spec.mitigation.model_dump(mode="json"),
            "words": own_words(spec),
        },
        inputs=keys,
        libraries=LIBRARIES,
        files=data_hashes("validation/report") | data_hashes("validation/profiles"),
    )


def _write(spec: Study, recipe: Recipe, draft: Path) -> Counts:
    keys = recipe.inputs
    inputs = open_inputs(keys)
    table = inputs["predictions"] / PREDICTIONS
    predictions = pl.read_parquet(table)
    previous = _previous(inputs)
    before = shown_before(spec, keys["predictions"])
    shown_by = scored_by(spec, keys["model"])
    measured = performance_of(spec, predictions, before, shown_by)
    done = mitigated(spec, inputs["model"], predictions, measured, before, shown_by)
    write_memories(done.found.memories, draft)
    write_table(done.evidence, draft)
    data = _data(spec, inputs, predictions, done.found)
    judged = with_tests(done.predictions, inputs["sequences"])
    found = done.found.with_patient_harms(spec, judged, data.flow, _other_labels(inputs))
    evidence = Evidence(
        study=f"{spec.name}: {spec.title}",
        intended_use=f"{spec.purpose.strip()}\n{spec.not_for.strip()}",
        policy=spec.audit,
        populations=found.populations,
        data=data,
        data_limits=tuple(spec.limits_of_the_data),
        model=model_summary(inputs["model"]),
        lineage=lineage(keys),
        prediction_source=PredictionSource(key=keys["predictions"], sha256=hash_file(table)),
        is_point_in_time=is_point_in_time(inputs["sequences"]) if spec.audit.is_forecast else None,
        harms=found.harms,
        overfitting=overfitting(spec, keys["predictions"]),
        tuning_trials=tuning_trials(spec),
        limits_order=_limits_order(recipe),
        patient_harms=found.patient_harms,
        mitigation=done.evidence,
        compression=_compression(spec, keys, inputs, predictions),
        incumbent=_compared(spec, done, inputs, previous) or _without_comparison(recipe),
        declared=declaration_of(spec, inputs["sequences"]),
    )
    return _judged(evidence, spec, found.reason, Around(recipe.key, previous), draft)


def _judged(
    evidence: Evidence, spec: Study, crashed: str | None, around: Around, draft: Path
) -> Counts:
    gate = closed(crashed) if crashed else judge(evidence, spec.audit)
    evidence = evidence.model_copy(update={"gate": gate})
    dump_evidence(evidence, draft / "evidence.json")
    if crashed is None:
        _write_reports(evidence, around, draft)
    else:
        (draft / "report.html").write_text(_crash_report(evidence, crashed), encoding="utf-8")
    lines = [line.verdict for line in gate.lines]
    return {
        "gating_lines": len(lines),
        "passed": lines.count("pass"),
        "failed": lines.count("fail"),
        "cannot_tell": lines.count("cannot_tell"),
    }


def _limits_order(recipe: Recipe) -> LimitsOrder | None:
    order: dict[str, Any] | None = recipe.config["limits_order"]
    return None if order is None else LimitsOrder(**order)


def _compared(
    spec: Study, done: Mitigated, inputs: Mapping[str, Path], previous: Evidence | None
) -> IncumbentEvidence | None:
    if "incumbent" not in inputs or done.found.reason is not None:
        return None
    table = inputs["incumbent"] / PREDICTIONS
    return against_incumbent(spec, done.predictions, table, previous)


def _compression(
    spec: Study, keys: Mapping[str, str], inputs: Mapping[str, Path], predictions: pl.DataFrame
) -> CompressionEvidence | None:
    """Of a smaller model: what it changed; None of one that training wrote."""
    if UNCOMPRESSED not in inputs:
        return None
    table = inputs[UNCOMPRESSED] / PREDICTIONS
    return against_uncompressed(spec, keys["model"], predictions, table)


def _without_comparison(recipe: Recipe) -> IncumbentEvidence:
    """No other model stands, or nothing of it can be read: then a line about it cannot tell."""
    if recipe.config["incumbent"] is None:
        return IncumbentEvidence(stands=False, reason=NOTHING_STANDS)
    return IncumbentEvidence(stands=True, reason=NOT_READABLE)


def _other_labels(inputs: Mapping[str, Path]) -> pl.DataFrame | None:
    table = inputs["sequences"] / OTHER_LABELS
    return pl.read_parquet(table) if table.exists() else None


def _data(
    spec: Study, inputs: Mapping[str, Path], predictions: pl.DataFrame, found: Performance
) -> DataEvidence:
    # Forecasts are audited where windows test them, which is not where all examples lie.
    audited = found.everybody if len(found.populations) > 1 and not spec.audit.is_forecast else None
    # Small cells protect people; of instruments nothing is hidden.
    minimum = 1 if spec.audit.is_forecast else spec.audit.minimum_cell_subjects
    data = data_evidence(inputs, predictions, minimum, audited)
    return data.model_copy(
        update={
            "checks": (*data.checks, *found.checks),
            "findings": (*data.findings, *found.findings),
        }
    )


def _previous(inputs: Mapping[str, Path]) -> Evidence | None:
    """What the audit of the release that stands found; None where that is of another schema."""
    if PREVIOUS not in inputs:
        return None
    try:
        return load_evidence(inputs[PREVIOUS] / "evidence.json")
    except ValueError:
        log.warning("the audit of the release that stands cannot be read: not compared with it")
        return None


def _write_reports(evidence: Evidence, around: Around, draft: Path) -> None:
    """The page, and the same for machines: both of what every reader may see, now and then."""
    shown = for_readers(evidence)
    previous = None if around.previous is None else for_readers(around.previous)
    page = render_report(shown, previous=previous, audit_key=around.audit_key)
    words = render_json(shown, previous=previous, audit_key=around.audit_key)
    (draft / "report.html").write_text(page, encoding="utf-8")
    (draft / "report.json").write_text(words, encoding="utf-8")


def _crash_report(evidence: Evidence, crashed: str) -> str:
    return render_crash_report(
        evidence.study, "audit_model", UnauditableTable(crashed), evidence.lineage
    )
