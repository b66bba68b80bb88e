"""An audit as it stands: judged once more, and everything it rests on is still what it was."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.approvals.audit_drift import drifted
from pipelines.approvals.bound_bytes import binding_of
from pipelines.approvals.request import Binding
from pipelines.errors import GateClosed
from pipelines.manifests import hash_file
from pipelines.provenance import broken_links, changed_since
from pipelines.stage import open_inputs, store
from pipelines.study import Study, load_study
from pipelines.trial_record import overfitting, tuning_trials
from validation.disclosure.view import for_readers
from validation.evidence import Evidence, GateVerdict, load_evidence
from validation.gate import judge


@dataclass(frozen=True)
class Audited:
    """An audit whose verdict holds: what it says, and the bytes it says it of.

    verdict: what is decided by; of small groups it holds numbers that nobody may read.
    reasons: the verdict's, in the words that everybody may read.
    """

    spec: Study
    verdict: GateVerdict
    reasons: tuple[str, ...]
    bound: Binding
    inputs: dict[str, str]
    recipe: Mapping[str, Any]
    report: Path


def audited(study: str, audit: str) -> Audited:
    """Judge the evidence once more; the verdict in the file is not believed.

    Raises:
        GateClosed: nothing follows from the verdict but a closed gate, or the audit is not of
            this study's model and data as they stand.
    """
    spec = load_study(study)
    folder = store().open(audit)
    evidence = load_evidence(folder / "evidence.json")
    verdict = judge(evidence, spec.audit)
    reasons = _in_readers_words(evidence, verdict)
    if verdict.decision == "close" or evidence.gate != verdict:
        raise _closed(reasons, folder / "report.html")
    recipe: dict[str, Any] = store().manifest(audit)["recipe"]
    inputs: dict[str, str] = recipe["inputs"]
    opened = open_inputs(inputs)
    odd = list(_odd(spec, recipe, evidence, opened["predictions"] / "predictions.parquet"))
    if odd:
        raise GateClosed(
            "The audit is not of this study's model and data as they stand:\n"
            + "\n".join(f"  {words}" for words in odd),
            where=str(store().path(audit)),
            remedy=f"Audit it again: equipoise run {study}. An artefact named here whose bytes "
            "were changed is removed first, with what was made of it.",
        )
    bound = binding_of(spec, audit, verdict.verdict)
    return Audited(spec, verdict, reasons, bound, inputs, recipe, folder / "report.html")


def _in_readers_words(evidence: Evidence, verdict: GateVerdict) -> tuple[str, ...]:
    gate = for_readers(evidence.model_copy(update={"gate": verdict})).gate
    return () if gate is None else gate.reasons


def _closed(reasons: tuple[str, ...], report: Path) -> GateClosed:
    return GateClosed(
        "The audit did not pass, so nothing is released:\n"
        + "\n".join(f"  {reason}" for reason in reasons or ("its verdict was altered",)),
        where=str(report),
        remedy="Read the report. Change the model or the data; a limit is changed by whoever "
        "answers for the study, before the next test split is looked at.",
    )


def _odd(spec: Study, recipe: dict[str, Any], evidence: Evidence, table: Path) -> Iterator[str]:
    """What does not belong to the rest: each a way in which one model could pass for another."""
    inputs, source = recipe["inputs"], evidence.prediction_source
    if recipe["config"]["words"]["name"] != spec.name:
        yield "the audit is of another study"
    yield from drifted(spec, recipe)
    if (spec.mitigation is None) != (evidence.mitigation is None):
        yield "the evidence does not say what became of the study's mitigation"
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
        tuned = tuning_trials(spec)
        if tuned is None or tuned != (evidence.tuning_trials or 0):
            yield "the ledger of trials is not what it was at the audit: audit the model again"
        return
    if not now.chain_is_whole:
        yield f"the ledger of trials cannot be believed: {now.reason}"
    elif then is None or now.trials != then.trials:
        yield "trials were added to the ledger since the audit: audit the model again"
