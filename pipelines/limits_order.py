"""Were a study's limits there before its test split was looked at? A record that only grows.

Before any test prediction is made, the policy is registered; before an audit is measured, the look
is noted. Who sees a result and then writes limits that it meets registers the new policy after a
look, and the record says after how many. It holds hashes, keys and times: no result, no value.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import ArtefactCorrupt
from pipelines.identity import Key, Sha256, StudyName, UtcMoment
from pipelines.ledger import Ledger, corrupt
from pipelines.manifests import hash_json
from pipelines.provenance import policy_sha256
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.study import Study

log = logging.getLogger(__name__)

LEDGER = "looks"


class Entry(BaseModel):
    """One entry of the record, of one question (source, label and split).

    policy: these limits were registered; predictions_existed says whether the predictions that
    they are to judge were there already.
    look: the predictions were audited under these limits.
    gap: audits are kept that the record does not know; of this question it can say nothing more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["policy", "look", "gap"]
    study: StudyName
    question_sha256: Sha256
    policy_sha256: Sha256
    predictions_key: Key
    predictions_existed: bool
    at: UtcMoment

    def says_the_same_as(self, other: "Entry") -> bool:
        """But for the study's name, the time, and what had been made meanwhile."""
        own = (self.kind, self.question_sha256, self.policy_sha256, self.predictions_key)
        return own == (
            other.kind,
            other.question_sha256,
            other.policy_sha256,
            other.predictions_key,
        )


@dataclass(frozen=True)
class Order:
    """See LimitsOrder of the evidence."""

    policy_sha256: str
    audits_before: int
    registered_before_predictions: bool


def register_policy(spec: Study, predictions_key: str) -> None:
    """Note the study's limits before the predictions that they judge are made; once.

    Raises:
        StoreLocked: another process kept the record for ten seconds.
    """
    _note(lambda ledger: _register(ledger, spec, predictions_key))


def note_look(spec: Study, predictions_key: str) -> None:
    """Note, before it is measured, that the predictions are audited under the study's limits; once.

    Raises:
        StoreLocked: another process kept the record for ten seconds.
    """

    def look(ledger: Ledger) -> None:
        if _unknown_audits(spec, _entries(ledger)):
            _add(ledger, _entry("gap", spec, predictions_key))
        _register(ledger, spec, predictions_key)
        _add(ledger, _entry("look", spec, predictions_key))

    _note(look)


def order_of_limits(spec: Study, predictions_key: str) -> Order | None:
    """What the record says of the study's limits; None where it is broken, emptied or silent."""
    try:
        entries = _entries(_ledger())
    except ArtefactCorrupt:
        return None
    question, policy = question_sha256(spec), policy_sha256(spec)
    entries = [entry for entry in entries if entry.question_sha256 == question]
    first = next((i for i, e in enumerate(entries) if _registers(e, policy)), None)
    if first is None or any(entry.kind == "gap" for entry in entries):
        return None
    made = next(
        (
            i
            for i, entry in enumerate(entries)
            if entry.kind == "policy" and entry.predictions_key == predictions_key
        ),
        None,
    )
    is_before = made is not None and first <= made and not entries[made].predictions_existed
    looks = sum(entry.kind == "look" for entry in entries[:first])
    return Order(policy, looks, registered_before_predictions=is_before)


def looks_before(spec: Study, predictions_key: str) -> set[tuple[str, str]] | None:
    """Predictions and policy of the looks noted before the first one of these, by any study of the
    same question or name; None where the record is broken or emptied and cannot tell."""
    try:
        entries = _entries(_ledger())
    except ArtefactCorrupt:
        return None
    question, own = question_sha256(spec), (predictions_key, policy_sha256(spec))
    found: set[tuple[str, str]] = set()
    for entry in entries:
        if spec.name != entry.study and entry.question_sha256 != question:
            continue
        look = (entry.predictions_key, entry.policy_sha256)
        if entry.kind == "gap":
            return None
        if entry.kind == "look" and look == own:
            break
        if entry.kind == "look":
            found.add(look)
    return found


def question_sha256(spec: Study) -> str:
    """Source, label and split: limits of another question were set for other results."""
    return _question(spec.records.model_dump(mode="json"), spec.split.model_dump(mode="json"))


def _question(records: object, split: object) -> str:
    return hash_json({"records": records, "split": split})


def _registers(entry: Entry, policy: str) -> bool:
    return entry.kind == "policy" and entry.policy_sha256 == policy


def _unknown_audits(spec: Study, entries: Sequence[Entry]) -> int:
    """How many audits of the question are kept of which the record has no look."""
    known = {entry.predictions_key for entry in entries if entry.kind == "look"}
    audits = store().keys("audit_model")
    recipes = [recipe for key in audits if (recipe := _recipe(key))]
    return sum(
        recipe["inputs"]["predictions"] not in known
        and _question_of(recipe["inputs"]["sequences"]) in (None, question_sha256(spec))
        for recipe in recipes
    )


def _question_of(sequences: str) -> str | None:
    """The question that sequences were built for; None where they are not kept any more."""
    recipe = _recipe(sequences)
    return recipe and _question(recipe["config"]["records"], recipe["config"]["split"])


def _recipe(key: str) -> Any:
    """The recipe of an artefact, None where it is not kept or cannot be read."""
    try:
        return store().manifest(key)["recipe"]
    except ArtefactCorrupt:
        return None


# ---- the record --------------------------------------------------------------------------------


def _ledger() -> Ledger:
    return Ledger(settings().home / LEDGER)


def _note(add_entries: Callable[[Ledger], None]) -> None:
    """A record that cannot be believed is left as it is: then nothing is said of the order."""
    ledger = _ledger()
    try:
        with ledger.writing():
            add_entries(ledger)
    except ArtefactCorrupt as error:
        log.warning("the order of limits and looks cannot be told: %s", error.cause)


def _entries(ledger: Ledger) -> list[Entry]:
    try:
        return [Entry.model_validate(content) for content in ledger.entries()]
    except ValidationError:
        raise corrupt(ledger.folder, "holds an entry that is none of limits and looks") from None


def _register(ledger: Ledger, spec: Study, predictions_key: str) -> None:
    _add(ledger, _entry("policy", spec, predictions_key))


def _entry(kind: Literal["policy", "look", "gap"], spec: Study, predictions_key: str) -> Entry:
    return Entry(
        kind=kind,
        study=spec.name,
        question_sha256=question_sha256(spec),
        policy_sha256=policy_sha256(spec),
        predictions_key=predictions_key,
        predictions_existed=store().has(predictions_key),
        at=datetime.now(UTC),
    )


def _add(ledger: Ledger, entry: Entry) -> None:
    """Add the entry unless the record says it already."""
    if not any(entry.says_the_same_as(known) for known in _entries(ledger)):
        ledger.add(entry.model_dump(mode="json"))
