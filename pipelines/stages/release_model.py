"""release_model: a model whose audit passed becomes the study's release. Nothing else does."""

from typing import Any

from pipelines.artefacts import hash_file
from pipelines.errors import GateClosed
from pipelines.journal import JournalEntry, append_entry
from pipelines.releases import Release, list_releases, record_release
from pipelines.stage import open_inputs, store
from pipelines.study import load_study
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
    release = _release(study, audit, evidence, spec.audit.threshold)
    known = {listed.release.release_id for listed in list_releases(study)}
    recorded = record_release(study, release)
    made = recorded.release_id not in known
    key = f"releases/{recorded.release_id}"
    append_entry(JournalEntry(study, "release_model", key, made=made, seconds=0.0, counts={}))
    return key


def _release(study: str, audit: str, evidence: Evidence, threshold: float) -> Release:
    inputs: dict[str, Any] = store().manifest(audit)["recipe"]["inputs"]
    opened = open_inputs(inputs)
    table = opened["predictions"] / "predictions.parquet"
    source = evidence.prediction_source
    if source is None or hash_file(table) != source.sha256 or source.key != inputs["predictions"]:
        raise GateClosed(
            "The audited predictions are not the ones in the store.",
            where=str(table),
            remedy="Run the study again: the audit is made anew.",
        )
    return Release.of(
        study=study,
        model_key=inputs["model"],
        model_sha256=store().content_sha256(inputs["model"]),
        audit_key=audit,
        audit_sha256=hash_file(store().path(audit) / "evidence.json"),
        verdict="pass",
        events_key=inputs["events"],
        sequences_key=inputs["sequences"],
        threshold=threshold,
    )
