"""Each audit of forecasts is a trial: noted in the study's ledger before it is judged."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from pipelines.domains import load_domain
from pipelines.errors import ArtefactCorrupt
from pipelines.manifests import hash_json
from pipelines.stage import open_inputs, store
from pipelines.study import Study
from pipelines.trials import Trial, TrialLedger, overfitting_of, record_trial, trials_of
from pipelines.tried_models import unrecorded_choices
from validation.forecast_audit import block_performance
from validation.groups import UnauditableTable
from validation.overfitting import OverfittingEvidence, broken_chain
from validation.tasks import PRIMARY_LOSS

BROKEN = "broken"
AGAINST = " against "


def note_trial(spec: Study, keys: Mapping[str, str]) -> None:
    """Add the predictions' losses by block of time to the ledger, once.

    Where the ledger is broken, or the table cannot be measured, nothing is added: the audit says
    so and its gate stays closed.

    Args:
        keys: of ``sequences``, ``model`` and ``predictions``.

    Raises:
        ArtefactCorrupt: the ledger knows predictions of this key with other losses.
    """
    if not spec.audit.is_forecast or trials_fingerprint(spec) == BROKEN:
        return
    table = open_inputs({"predictions": keys["predictions"]})["predictions"]
    try:
        found = block_performance(pl.read_parquet(table / "predictions.parquet"), spec.audit)
    except UnauditableTable:
        return
    record_trial(
        spec.name,
        Trial(
            trial_id=_trial_id(spec, keys["predictions"]),
            model_key=keys["model"],
            sequences_key=keys["sequences"],
            config=_section(spec, keys["model"]),
            metric=f"{PRIMARY_LOSS[spec.audit.task]} against {spec.audit.reference}",
            blocks=tuple(found["cluster"].to_list()),
            performance=tuple(found["skill"].to_list()),
            block_sessions=load_domain(spec.domain).block_sessions(spec.records),
            question_sha256=_question_sha256(spec),
            recorded_at=datetime.now(UTC),
        ),
    )


def _section(spec: Study, model: str) -> dict[str, Any]:
    """The model section that was trained: the study's own, or the one that won a race."""
    if spec.auto is None:
        return spec.model.model_dump(mode="json")
    words: dict[str, Any] = json.loads((store().open(model) / "model.json").read_text())
    trained: dict[str, Any] = words["config"]
    return trained


def trials_fingerprint(spec: Study) -> str | None:
    """What of the ledger decides an audit: which trials there are, and what they reached.

    None of a risk that nobody tuned: its audits are no trials.
    """
    if (ledger := _believed(spec)) is None:
        return BROKEN
    if not spec.audit.is_forecast and not ledger.tuning:
        return None
    entries = (*ledger.trials, *ledger.tuning)
    return hash_json([entry.model_dump(mode="json", exclude={"recorded_at"}) for entry in entries])


def tuning_trials(spec: Study) -> int | None:
    """How many trials of tunings the ledger holds; None where it cannot be believed.

    It cannot if it lacks a trial, race or comparison that the journal of stages tells of.
    """
    ledger = _believed(spec)
    return None if ledger is None else len(ledger.tuning)


def _believed(spec: Study) -> TrialLedger | None:
    """The ledger; None where it is broken or lacks what the journal of stages tells of."""
    try:
        ledger = trials_of(spec.name)
    except ArtefactCorrupt:
        return None
    return None if unrecorded_choices(spec.name, ledger) else ledger


def overfitting(spec: Study, predictions: str) -> OverfittingEvidence | None:
    """What the ledger says of the choice of this model; None where no ledger is kept.

    A ledger that lacks an audit, or a trial of a tuning, which this installation still knows of was
    emptied or replaced: it is as little to be believed as one whose chain is broken.
    """
    if not spec.audit.is_forecast:
        return None
    missing = _unrecorded_audits(spec)
    if missing:
        return broken_chain(f"{missing:,} audits of this study are not in its ledger of trials")
    lacking = _lacking(spec)
    if lacking:
        return broken_chain(f"{lacking:,} tried models of this study are not in its ledger")
    try:
        return overfitting_of(spec.name, _trial_id(spec, predictions))
    except ValueError:
        return broken_chain("the ledger does not hold these predictions")


def _lacking(spec: Study) -> int:
    try:
        return unrecorded_choices(spec.name, trials_of(spec.name))
    except ArtefactCorrupt:
        return 0  # the broken chain is said by what reads it next


def _unrecorded_audits(spec: Study) -> int:
    """How many audits of the study are kept whose predictions the ledger does not name."""
    try:
        recorded = {trial.trial_id.split(AGAINST)[0] for trial in trials_of(spec.name).trials}
    except ArtefactCorrupt:
        return 0  # the broken chain is said by what reads it next
    recipes = [store().manifest(key)["recipe"] for key in store().keys("audit_model")]
    return sum(
        recipe["config"]["words"]["name"] == spec.name
        and recipe["config"]["audit"]["task"] == spec.audit.task
        and recipe["inputs"]["predictions"] not in recorded
        for recipe in recipes
    )


def _trial_id(spec: Study, predictions: str) -> str:
    """The same predictions beside another reference are another look at them."""
    return f"{predictions}{AGAINST}{spec.audit.reference}"


def _question_sha256(spec: Study) -> str:
    """Source, label and split: trials of other ones tried something else."""
    return hash_json(
        {
            "records": spec.records.model_dump(mode="json"),
            "split": spec.split.model_dump(mode="json"),
        }
    )
