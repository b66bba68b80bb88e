"""release_model: a model whose audit passed becomes the study's release. Nothing else does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.approval_record import ApprovalRecord
from pipelines.artefacts import hash_file
from pipelines.errors import GateClosed
from pipelines.journal import JournalEntry, append_entry
from pipelines.provenance import (
    broken_links,
    changed_since,
    data_sha256,
    policy_sha256,
    records_sha256,
)
from pipelines.releases import Release, list_releases, record_release
from pipelines.stage import open_inputs, store
from pipelines.study import Study, load_study
from pipelines.trial_record import overfitting
from validation.evidence import Evidence, load_evidence
from validation.gate import judge


def release_model(study: str, audit: str) -> str:
    """Judge the evidence once more and record the release.

    The verdict in the file is not believed: the gate judges the numbers again, under the policy
    that stands in the study now, and the predictions must still be those that were audited.

    Raises:
        GateClosed: the verdict is not a pass. The report says which line closed it.
    """
    spec = load_study(study)
    folder = store().open(audit)
    evidence = load_evidence(folder / "evidence.json")
    verdict = judge(evidence, spec.audit)
    if verdict.verdict != "pass" or evidence.gate != verdict:
        raise GateClosed(
            "The audit did not pass, so nothing is released:\n"
            + "\n".join(
                f"  {reason}" for reason in verdict.reasons or ("its verdict was altered",)
            ),
            where=str(folder / "report.html"),
            remedy="Read the report. Change the model or the data; a limit is changed by whoever "
            "answers for the study, before the next test split is looked at.",
        )
    release = _release(spec, audit, evidence)
    known = {listed.release.release_id for listed in list_releases(study)}
    recorded = record_release(study, release)
    made = recorded.release_id not in known
    key = f"releases/{recorded.release_id}"
    append_entry(JournalEntry(study, "release_model", key, made=made, seconds=0.0, counts={}))
    return key


def _release(spec: Study, audit: str, evidence: Evidence) -> Release:
    recipe: dict[str, Any] = store().manifest(audit)["recipe"]
    inputs: dict[str, str] = recipe["inputs"]
    opened = open_inputs(inputs)
    odd = list(_odd(spec, recipe, evidence, opened["predictions"] / "predictions.parquet"))
    if odd:
        raise GateClosed(
            "The audit is not of this study's model and data as they stand:\n"
            + "\n".join(f"  {words}" for words in odd),
            where=str(store().path(audit)),
            remedy="Remove the artefacts of predict_holdout and audit_model named here and run "
            "the study again: they are made anew.",
        )
    model_sha256 = store().content_sha256(inputs["model"])
    evidence_sha256 = hash_file(store().path(audit) / "evidence.json")
    return Release.of(
        study=spec.name,
        model_key=inputs["model"],
        model_sha256=model_sha256,
        audit_key=audit,
        audit_sha256=evidence_sha256,
        verdict="pass",
        events_key=inputs["events"],
        sequences_key=inputs["sequences"],
        threshold=spec.audit.threshold,
        records_sha256=records_sha256(spec),
        policy_sha256=policy_sha256(spec),
        approval=ApprovalRecord.by_gate(
            study=spec.name,
            audit_key=audit,
            evidence_sha256=evidence_sha256,
            model_sha256=model_sha256,
            data_sha256=data_sha256(inputs["events"], inputs["sequences"]),
            policy_sha256=policy_sha256(spec),
        ),
    )


def _odd(spec: Study, recipe: dict[str, Any], evidence: Evidence, table: Path) -> Iterator[str]:
    """What does not belong to the rest: each a way in which one model could pass for another."""
    inputs, source = recipe["inputs"], evidence.prediction_source
    if recipe["config"]["words"]["name"] != spec.name:
        yield "the audit is of another study"
    yield from broken_links(inputs)
    if sorted(entry.key for entry in evidence.lineage) != sorted(inputs.values()):
        yield "the evidence names other artefacts than its recipe"
    yield from _odd_trials(spec, inputs["predictions"], evidence)
    yield from (
        f"{key} has other bytes than were audited" for key in changed_since(evidence.lineage)
    )
    if source is None or source.key != inputs["predictions"] or hash_file(table) != source.sha256:
        yield "the predictions are not the ones that were audited"
    trained_on = store().manifest(inputs["sequences"])["recipe"]["config"]["records"]
    if trained_on != spec.records.model_dump(mode="json"):
        yield f"the model was trained under another section {spec.domain}"


def _odd_trials(spec: Study, predictions: str, evidence: Evidence) -> Iterator[str]:
    """The ledger is read once more: it may have been edited, or have grown, since the audit."""
    now, then = overfitting(spec, predictions), evidence.overfitting
    if now is None:
        return
    if not now.chain_is_whole:
        yield f"the ledger of trials cannot be believed: {now.reason}"
    elif then is None or now.trials != then.trials:
        yield "trials were added to the ledger since the audit: audit the model again"
