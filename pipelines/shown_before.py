"""What earlier audits of the same people showed: the difference of two reports is a report too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.limits_order import looks_before
from pipelines.manifests import hash_json
from pipelines.provenance import policy_sha256
from pipelines.stage import store
from pipelines.study import Study
from validation.disclosure.memory import MEMORY_FILE, ShownBefore, read_memory, write_memory
from validation.mitigation.records import ThresholdTable

# Where an audit keeps what it showed of the decisions by each group's own threshold.
DECIDED = "decided"


def shown_before(spec: Study, predictions: str) -> tuple[ShownBefore, ...]:
    """What the audits showed that were noted before the one of these predictions; each once.

    An audit made again shows the same people: its order is that of its first look, so that what is
    audited later never changes an earlier audit. Where the record of looks cannot tell, every
    other audit of the study that is kept counts as earlier.

    Raises:
        ArtefactCorrupt: an earlier audit is not the one that was written.
    """
    if spec.audit.is_forecast:
        return ()
    earlier, own = looks_before(spec, predictions), (predictions, policy_sha256(spec))
    found: dict[str, ShownBefore] = {}
    for key in store().keys("audit_model"):
        if MEMORY_FILE not in store().manifest(key)["files"]:
            continue
        name, look = _look_of(key)
        if look in earlier if earlier is not None else name == spec.name and look != own:
            found |= {_fingerprint(memory): memory for memory in _read(store().open(key))}
    return tuple(found[sha256] for sha256 in sorted(found))


def write_memories(memories: Sequence[ShownBefore], folder: Path) -> None:
    """Keep what an audit showed: of the scores as they are and, under a mitigation, as decided."""
    for memory, place in zip(memories, _places(folder), strict=False):
        place.mkdir(exist_ok=True)
        write_memory(memory, place)


def _read(folder: Path) -> list[ShownBefore]:
    files = [place / MEMORY_FILE for place in _places(folder)]
    return [read_memory(file) for file in files if file.exists()]


def _places(folder: Path) -> tuple[Path, Path]:
    return folder, folder / DECIDED


def fingerprints(before: Sequence[ShownBefore]) -> list[str]:
    """What of them decides an audit."""
    return [_fingerprint(memory) for memory in before]


def _fingerprint(memory: ShownBefore) -> str:
    return hash_json(memory.model_dump(mode="json"))


def scored_by(spec: Study, model: str) -> str:
    """The model and the threshold whose decisions an audit shows."""
    return f"{model} at {spec.audit.threshold}"


def decided_by(scored_by: str, table: ThresholdTable) -> str:
    """The same, where each group has a threshold of its own."""
    return f"{scored_by}, by {table.attribute} {hash_json(table.model_dump(mode='json'))}"


def _look_of(audit: str) -> tuple[str, tuple[str, str]]:
    """Study, and predictions and policy, of a kept audit as the record of looks names them."""
    recipe: dict[str, Any] = store().manifest(audit)["recipe"]
    policy = dict(recipe["config"]["audit"])
    policy.pop("predictions")
    return recipe["config"]["words"]["name"], (recipe["inputs"]["predictions"], hash_json(policy))
