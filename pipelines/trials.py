"""Every trial ever looked at, per study: who chooses the best of many must say of how many.

A trial is one set of predictions whose losses were computed. It enters the ledger when its
performance is measured, before anybody can know whether it pleases, and never leaves it.
A trial of a tuning enters when it begins: one that was stopped early or failed was tried too.
The ledger holds block numbers and losses: no value of a record.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from pipelines.errors import ArtefactCorrupt
from pipelines.identity import Key, UtcMoment
from pipelines.ledger import Content, Ledger, corrupt
from pipelines.releases import require_study_name
from pipelines.settings import Settings, settings
from validation.overfitting import OverfittingEvidence, broken_chain, overfitting_evidence

# Sums in another order differ by less; losses are of the size of a label.
ROUNDING = 1e-9
# Many trials begin at a time, and each reads the whole ledger before it adds itself.
LOCK_WAIT_SECONDS = 300.0


class Trial(BaseModel):
    """What was tried and what it reached on each block of time.

    trial_id: key of the predictions and what they were compared with.
    config: the study's model section.
    metric: the loss, and the reference it is compared with.
    question_sha256: of source, label and split: another question's numbers are not comparable.
    blocks [T]: numbers of the blocks, ascending.
    performance [T]: mean of the reference's loss minus the network's, over the block's rows.
    block_sessions: length of a block; blocks of another length are other blocks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trial_id: Key
    model_key: Key
    sequences_key: Key
    config: dict[str, JsonValue]
    metric: Key
    blocks: Annotated[tuple[int, ...], Field(min_length=1)]
    performance: tuple[float, ...]
    block_sessions: int | None = None
    question_sha256: str | None = None
    recorded_at: UtcMoment

    @model_validator(mode="after")
    def _has_one_number_per_block(self) -> Self:
        if len(self.performance) != len(self.blocks):
            raise ValueError("performance has one number per block")
        if list(self.blocks) != sorted(set(self.blocks)):
            raise ValueError("blocks are in ascending order, each once")
        return self

    def is_comparable_with(self, other: "Trial") -> bool:
        """The numbers of both answer the same question by the same loss, on all of its blocks."""
        own = (self.metric, self.block_sessions, self.question_sha256)
        others = (other.metric, other.block_sessions, other.question_sha256)
        return own == others and set(self.blocks) <= set(other.blocks)


class TuningTrial(BaseModel):
    """What a tuning set out to try, before its first epoch: it is told of no test split.

    trial_id: plan, number and model section; taken up after a kill it is the same trial.
    config: the model section tried.
    metric: what the tuning goes by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["tuning"] = "tuning"
    trial_id: Key
    plan_key: Key
    number: Annotated[int, Field(ge=1)]
    sequences_key: Key
    config: dict[str, JsonValue]
    metric: Key
    recorded_at: UtcMoment


@dataclass(frozen=True)
class TrialLedger:
    """All trials in the order of their recording; sha256 is that of the newest entry.

    trials: whose predictions were audited.   tuning: those of tunings.
    """

    trials: tuple[Trial, ...]
    sha256: str
    tuning: tuple[TuningTrial, ...] = ()

    @property
    def looked_at(self) -> int:
        """How many there are in all."""
        return len(self.trials) + len(self.tuning)


def record_trial(
    study: str, trial: Trial | TuningTrial, installation: Settings | None = None
) -> int:
    """Add the trial to the study's ledger; one that is there already adds nothing.

    Losses of the same trial may differ by rounding: then the first record stands.

    Returns its number among all entries, counted from 1.

    Raises:
        ArtefactCorrupt: the ledger is broken, or holds this trial with other content.
        StoreLocked: others kept the ledger for five minutes.
        StudyInvalid: the study's name cannot be a folder's.
    """
    ledger = _ledger(study, installation)
    with ledger.writing(LOCK_WAIT_SECONDS) as contents:
        entries = _parsed(ledger, contents)
        for number, known in enumerate(entries, start=1):
            if known.trial_id == trial.trial_id:
                _require_same(known, trial, number, ledger)
                return number
        ledger.add(trial.model_dump(mode="json"))
    return len(entries) + 1


def trials_of(study: str, installation: Settings | None = None) -> TrialLedger:
    """All trials of the study.

    Raises:
        ArtefactCorrupt: an entry was deleted, edited or moved, the newest included.
        StudyInvalid: the study's name cannot be a folder's.
    """
    ledger = _ledger(study, installation)
    contents, head = ledger.read()
    entries = _parsed(ledger, contents)
    return TrialLedger(
        trials=tuple(entry for entry in entries if isinstance(entry, Trial)),
        sha256=head.sha256,
        tuning=tuple(entry for entry in entries if isinstance(entry, TuningTrial)),
    )


def aligned_performance(
    own: Trial, trials: tuple[Trial, ...]
) -> tuple[tuple[int, ...], npt.NDArray[np.float64]]:
    """The blocks [T] of ``own``, and the performance [T, N] of the trials on them.

    Raises:
        ValueError: no trial, or one that cannot be compared with ``own``.
    """
    if not trials or not all(own.is_comparable_with(trial) for trial in trials):
        raise ValueError("only trials of one question, loss and length of blocks can be aligned")
    columns = [np.asarray(t.performance)[np.isin(t.blocks, own.blocks)] for t in trials]
    return own.blocks, np.stack(columns, axis=1)


def overfitting_of(
    study: str, trial_id: str, installation: Settings | None = None
) -> OverfittingEvidence:
    """How far the trial's skill is that it was chosen, by the ledger and by nothing else.

    A ledger that cannot be believed is evidence too: it closes the gate and says why.

    Raises:
        ValueError: the whole ledger has no such trial: record it before it is judged.
    """
    try:
        ledger = trials_of(study, installation)
    except ArtefactCorrupt as error:
        return broken_chain(error.cause)
    own = next((trial for trial in ledger.trials if trial.trial_id == trial_id), None)
    if own is None:
        raise ValueError("a trial is recorded before it is judged")
    # A trial that does not cover the judged one's blocks is counted and not compared.
    comparable = tuple(trial for trial in ledger.trials if own.is_comparable_with(trial))
    _, performance = aligned_performance(own, comparable)
    return overfitting_evidence(
        performance.T.tolist(),
        comparable.index(own),
        ledger.sha256,
        looked_at=ledger.looked_at,
    )


def _ledger(study: str, installation: Settings | None) -> Ledger:
    return Ledger((installation or settings()).trials_dir / require_study_name(study))


def _parsed(ledger: Ledger, contents: list[Content]) -> list[Trial | TuningTrial]:
    """All entries as what they are.

    Raises:
        ArtefactCorrupt: one is no trial, or stands there twice.
    """
    try:
        entries = [
            (TuningTrial if content.get("kind") == "tuning" else Trial).model_validate(content)
            for content in contents
        ]
    except ValidationError:
        raise corrupt(ledger.folder, "holds an entry that is no trial") from None
    if len({entry.trial_id for entry in entries}) != len(entries):
        raise corrupt(ledger.folder, "holds a trial twice")
    return entries


def _require_same(
    known: Trial | TuningTrial, trial: Trial | TuningTrial, number: int, ledger: Ledger
) -> None:
    """The same predictions have the same losses, whenever they are looked at."""
    stated: dict[str, object] = {"recorded_at": known.recorded_at}
    if isinstance(known, Trial) and isinstance(trial, Trial) and _rounds(known, trial):
        stated["performance"] = known.performance
    if known != trial.model_copy(update=stated):
        raise ArtefactCorrupt(
            f"Trial {number} was recorded under the same key with another content.",
            where=str(ledger.folder),
            remedy="Predictions of one key never change: compare the artefact with its manifest, "
            "or remove it and build it again.",
        )


def _rounds(known: Trial, trial: Trial) -> bool:
    """Their losses differ by no more than sums in another order do."""
    return len(known.performance) == len(trial.performance) and np.allclose(
        known.performance, trial.performance, rtol=0, atol=ROUNDING
    )
