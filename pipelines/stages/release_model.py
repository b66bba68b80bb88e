"""release_model: a model becomes the study's release on the gate's pass or on people's approval."""

from pipelines.approvals.audit_drift import incumbent_drift
from pipelines.approvals.audited import Audited, audited
from pipelines.approvals.awaiting import approval_by_people
from pipelines.approvals.people import local_account, local_person
from pipelines.approvals.record import ApprovalRecord
from pipelines.journal import JournalEntry, append_entry
from pipelines.provenance import records_sha256
from pipelines.releases import Release, list_releases, record_release


def release_model(study: str, audit: str) -> str:
    """Judge the evidence once more and record the release.

    A verdict that the study puts before people releases on their approval of these very bytes,
    and stays in the record what it is.

    Raises:
        GateClosed: the verdict closes the gate, or people rejected the model, or withdrew it. The
            report says which line closed it.
        AwaitingApproval: people are asked and have not all answered.
    """
    found = audited(study, audit)
    if found.verdict.decision == "release":
        approval = ApprovalRecord.by_gate(
            **found.bound.model_dump(exclude={"verdict", "model_key"})
        )
    else:
        approval = approval_by_people(
            found, started_by=local_person(), started_from=local_account()
        )
    known = {listed.release.release_id for listed in list_releases(study)}
    recorded = record_release(
        study,
        _release(found, approval),
        closed_by=lambda: incumbent_drift(study, found.recipe),
    )
    made = recorded.release_id not in known
    key = f"releases/{recorded.release_id}"
    append_entry(JournalEntry(study, "release_model", key, made=made, seconds=0.0, counts={}))
    return key


def _release(found: Audited, approval: ApprovalRecord) -> Release:
    bound = found.bound
    return Release.of(
        study=bound.study,
        model_key=bound.model_key,
        model_sha256=bound.model_sha256,
        audit_key=bound.audit_key,
        audit_sha256=bound.evidence_sha256,
        verdict=bound.verdict,
        events_key=found.inputs["events"],
        sequences_key=found.inputs["sequences"],
        threshold=found.spec.audit.threshold,
        records_sha256=records_sha256(found.spec),
        policy_sha256=bound.policy_sha256,
        approval=approval,
    )
