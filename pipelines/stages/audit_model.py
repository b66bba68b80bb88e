"""audit_model: evidence, verdict and report. It judges and does not raise: evidence outlives it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.artefacts import Counts, Recipe, hash_file
from pipelines.errors import GateClosed
from pipelines.evidence import data_evidence, is_point_in_time, lineage, model_summary
from pipelines.provenance import broken_links
from pipelines.source_code import data_hashes
from pipelines.stage import open_inputs, recipe_of, run_stage
from pipelines.study import Study, load_study
from pipelines.trial_record import note_trial, overfitting, trials_fingerprint
from validation.audit import audit_predictions_table
from validation.evidence import (
    CheckResult,
    DataEvidence,
    Evidence,
    HarmFinding,
    PopulationEvidence,
    PredictionSource,
    dump_evidence,
)
from validation.forecast_audit import audit_forecasts
from validation.gate import closed, judge
from validation.groups import UnauditableTable
from validation.harms import harms
from validation.report.render import render_crash_report, render_report
from validation.second_route import agreement_with_fairlearn
from validation.tasks import CHALLENGERS

log = logging.getLogger(__name__)


def audit_model(
    study: str, events: str, checks: str, sequences: str, model: str, predictions: str
) -> str:
    """Measure, judge by the study's lines, write evidence.json and report.html.

    Raises:
        GateClosed: the artefacts were not made of one another.
    """
    keys = {"sequences": sequences, "model": model, "predictions": predictions}
    # Before anybody can know whether it pleases: what was looked at was tried.
    note_trial(load_study(study), keys)
    recipe = recipe_for(study, events, checks, sequences, model, predictions)
    if odd := broken_links(recipe.inputs):
        raise GateClosed(
            "The artefacts to audit do not belong together:\n"
            + "\n".join(f"  {words}" for words in odd),
            where="audit_model",
            remedy="Run the flow again from the stage whose key is odd, with all that follows it.",
        )
    spec = load_study(study)
    return run_stage(study, recipe, lambda draft: _write(spec, recipe.inputs, draft)).key


def recipe_for(
    study: str, events: str, checks: str, sequences: str, model: str, predictions: str
) -> Recipe:
    """What decides the evidence: every artefact before it, the policy and the study's words."""
    spec = load_study(study)
    keys = {
        "events": events,
        "checks": checks,
        "sequences": sequences,
        "model": model,
        "predictions": predictions,
    }
    return recipe_of(
        "audit_model",
        config={
            "audit": spec.audit.model_dump(mode="json"),
            "trials": trials_fingerprint(spec),
            "words": spec.model_dump(
                mode="json",
                include={"name", "title", "owner", "purpose", "not_for", "limits_of_the_data"},
            ),
        },
        inputs=keys,
        libraries=("polars", "numpy", "scipy", "fairlearn"),
        files=data_hashes("validation/report"),
    )


@dataclass(frozen=True)
class _Measured:
    """What the predictions gave; ``reason`` says why there is nothing, and closes the gate."""

    populations: tuple[PopulationEvidence, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    harms: tuple[HarmFinding, ...] = ()
    reason: str | None = None


def _write(spec: Study, keys: Mapping[str, str], draft: Path) -> Counts:
    inputs = open_inputs(keys)
    table = inputs["predictions"] / "predictions.parquet"
    predictions = pl.read_parquet(table)
    measured = _measured(spec, predictions)
    evidence = Evidence(
        study=f"{spec.name}: {spec.title}",
        intended_use=f"{spec.purpose.strip()}\n{spec.not_for.strip()}",
        policy=spec.audit,
        populations=measured.populations,
        data=_data(spec, inputs, predictions, measured),
        data_limits=tuple(spec.limits_of_the_data),
        model=model_summary(inputs["model"]),
        lineage=lineage(keys),
        prediction_source=PredictionSource(key=keys["predictions"], sha256=hash_file(table)),
        is_point_in_time=is_point_in_time(inputs["sequences"]) if spec.audit.is_forecast else None,
        harms=measured.harms,
        overfitting=overfitting(spec, keys["predictions"]),
    )
    gate = closed(measured.reason) if measured.reason else judge(evidence, spec.audit)
    evidence = evidence.model_copy(update={"gate": gate})
    dump_evidence(evidence, draft / "evidence.json")
    (draft / "report.html").write_text(_report(evidence, measured.reason), encoding="utf-8")
    lines = [line.verdict for line in gate.lines]
    return {
        "gating_lines": len(lines),
        "passed": lines.count("pass"),
        "failed": lines.count("fail"),
        "cannot_tell": lines.count("cannot_tell"),
    }


def _data(
    spec: Study, inputs: Mapping[str, Path], predictions: pl.DataFrame, measured: _Measured
) -> DataEvidence:
    everybody = max(
        measured.populations, key=lambda one: one.overall.counts.subjects or 0, default=None
    )
    # Forecasts are audited where windows test them, which is not where all examples lie.
    audited = everybody if len(measured.populations) > 1 and not spec.audit.is_forecast else None
    # Small cells protect people; of instruments nothing is hidden.
    minimum = 1 if spec.audit.is_forecast else spec.audit.minimum_cell_subjects
    data = data_evidence(inputs, predictions, minimum, audited)
    return data.model_copy(update={"checks": (*data.checks, *measured.checks)})


def _report(evidence: Evidence, crashed: str | None) -> str:
    if crashed is None:
        return render_report(evidence)
    return render_crash_report(
        evidence.study, "audit_model", UnauditableTable(crashed), evidence.lineage
    )


def _measured(spec: Study, predictions: pl.DataFrame) -> _Measured:
    policy, challengers = spec.audit, CHALLENGERS[spec.audit.task]
    try:
        if policy.is_forecast:
            populations = audit_forecasts(predictions, policy, challengers)
            found = harms(predictions, policy, challengers)
        else:
            populations = audit_predictions_table(predictions, policy, challengers=challengers)
            found = ()
        agreement = agreement_with_fairlearn(predictions, policy, populations, challengers)
    except UnauditableTable as error:
        log.warning("the predictions cannot be audited: %s", error)
        return _Measured(reason=f"the predictions cannot be audited: {error}")
    return _Measured(populations, (agreement,), found)
