"""Which artefacts must stay: what people, records and readers rest on, with all it was made of.

Only the kinds of ``MADE_AGAIN`` may ever go: steps on the way to a result. A result (an audit, a
comparison, a trial, and whatever is added later) stays for good, so that every number that somebody
was shown can be found, and so does all that it was made of.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.artefacts import ArtefactStore
from pipelines.errors import ArtefactCorrupt
from pipelines.ledger import Ledger
from pipelines.limits_order import LEDGER as LOOKS
from pipelines.publication.store_keys import keys_in_store
from pipelines.settings import Settings

MADE_AGAIN = frozenset(
    {
        "ingest_events",
        "merge_events",
        "check_events",
        "build_sequences",
        "merge_sequences",
        "train_model",
        "compress_model",
        "predict_holdout",
        "cross_validate",
        "score_subjects",
        "merge_scores",
        "explain_predictions",
    }
)
# Kinds that tell of another artefact and are no input of a result: they stay beside what they tell
# of, by the name of that input.
BESIDE = {"check_events": "events", "explain_predictions": "scores"}
KEY = re.compile(r"\b[a-z][a-z_]*/[0-9a-f]{16}\b")
# Who started a training is noted of every model, of one that nobody ever audited too.
NO_NEED = "training"


def keys_of(artefacts: ArtefactStore) -> list[str]:
    """Every artefact here and in the shared store; drafts and workspaces are none.

    A folder whose manifest is gone is among them: of a result, its reader says so.
    """
    folders = (path for path in artefacts.root.glob("[!.]*/[!.]*") if path.is_dir())
    found = {f"{path.parent.name}/{path.name}" for path in folders}
    if artefacts.shared is not None:
        for stage in artefacts.shared.stages():
            found.update(artefacts.shared.keys(stage))
    return sorted(found)


def needed_keys(
    artefacts: ArtefactStore, installation: Settings, there: Sequence[str]
) -> frozenset[str]:
    """What must stay, whatever its age. there: ``keys_of`` of these artefacts.

    Raises:
        ArtefactCorrupt: a record, or the manifest of what must stay, cannot be believed: then
            nobody can say what is needed.
        DatabaseUnavailable: the PostgreSQL of the publication cannot be asked.
    """
    named = keys_in_records(installation) | keys_in_store(installation)
    roots = {key for key in there if _kind(key) not in MADE_AGAIN or key in named}
    needed = _with_inputs(artefacts, roots, frozenset(there))
    beside = [key for key in there if _kind(key) in BESIDE and key not in needed]
    told = {key for key in beside if _tells_of(artefacts, key) & needed}
    return frozenset(_with_inputs(artefacts, needed | told, frozenset(there)))


def keys_in_records(installation: Settings) -> set[str]:
    """Every key that a record of releases, approvals, trials or looks names.

    Raises:
        ArtefactCorrupt: a record was edited.
    """
    contents = (entry for folder in _records(installation) for entry in Ledger(folder).entries())
    words = (json.dumps(entry) for entry in contents if entry.get("kind") != NO_NEED)
    return {key for text in words for key in KEY.findall(text)}


def _records(installation: Settings) -> Iterator[Path]:
    per_study = (installation.releases_dir, installation.approvals_dir, installation.trials_dir)
    for folder in per_study:
        if folder.exists():
            yield from (path for path in sorted(folder.iterdir()) if path.is_dir())
    yield installation.home / LOOKS


def _with_inputs(artefacts: ArtefactStore, keys: Iterable[str], there: frozenset[str]) -> set[str]:
    """The keys and all that they were made of, as far as it is there."""
    found: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key in found or key not in there:
            continue
        found.add(key)
        waiting.extend(_inputs(artefacts, key))
    return found


def _inputs(artefacts: ArtefactStore, key: str) -> Iterable[str]:
    inputs: dict[str, Any] = artefacts.manifest(key)["recipe"]["inputs"]
    return [made_of for made_of in inputs.values() if isinstance(made_of, str)]


def _tells_of(artefacts: ArtefactStore, key: str) -> set[str]:
    """What a check or an explanation is of; an unreadable one tells of nothing and may go."""
    try:
        told = artefacts.manifest(key)["recipe"]["inputs"].get(BESIDE[_kind(key)])
    except ArtefactCorrupt:
        return set()
    return {told} if told else set()


def _kind(key: str) -> str:
    return key.split("/")[0]


def newest_of_each(entries: Iterable[tuple[str, str, str]]) -> set[str]:
    """The last key of each (study, stage): what the next run of a study would reuse.

    Args:
        entries: study, stage and key, oldest first.
    """
    newest: defaultdict[tuple[str, str], str] = defaultdict(str)
    for study, stage, key in entries:
        newest[study, stage] = key
    return set(newest.values())
