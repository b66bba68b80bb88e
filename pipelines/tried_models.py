"""Does the ledger of trials know every model that a tuning, a race or a comparison tried?

The journal of stages tells of each call by itself. A ledger that was emptied, or began anew under
the same name, lacks what the journal still tells of.
"""

from typing import Any

from pipelines.errors import ArtefactCorrupt
from pipelines.journal import JournalEntry, read_entries
from pipelines.stage import store
from pipelines.trials import TrialLedger, TuningTrial

# A stage that tries models -> the stage by whose key its trials stand in the ledger.
TRIES = {
    "run_trial": "plan_trials",
    "race_models": "race_models",
    "compare_models": "compare_models",
}


def unrecorded_choices(study: str, ledger: TrialLedger) -> int:
    """How many calls of TRIES' stages the journal tells of whose trials the ledger lacks."""
    called = {entry.key: entry for entry in read_entries(study) if entry.stage in TRIES}
    return sum(not _is_recorded(entry, ledger) for entry in called.values())


def _is_recorded(entry: JournalEntry, ledger: TrialLedger) -> bool:
    """By the recipe of what the stage made, or by what the journal says where that is gone."""
    own = [one for one in ledger.tuning if one.plan_key.split("/")[0] == TRIES[entry.stage]]
    if entry.stage == "run_trial":
        own = [one for one in own if one.number == entry.counts.get("number")]
    try:
        recipe = store().manifest(entry.key)["recipe"]
    except ArtefactCorrupt:
        return bool(own)
    if entry.stage == "run_trial":
        return any(one.plan_key == recipe["inputs"]["plan"] for one in own)
    if entry.stage == "race_models":
        return any(one.plan_key == entry.key for one in own)
    return _compared(recipe, own)


def _compared(recipe: dict[str, Any], own: list[TuningTrial]) -> bool:
    """A comparison's trials stand under the key of its plan: they are known by what they tried."""
    sequences = recipe["inputs"]["sequences"]
    known = [one.config for one in own if one.sequences_key == sequences]
    return all(section in known for section in recipe["config"]["models"].values())
