"""choose_model: the best trial of a tuning as a model section; it changes no study by itself."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.artefacts import Counts, Recipe
from pipelines.stage import open_inputs, recipe_of, run_stage
from pipelines.tuning.conclusion import write_conclusion
from pipelines.tuning.outcome import Outcome
from pipelines.tuning.recorded import require_recorded


def choose_model(study: str, plan: str, trials: Sequence[str]) -> str:
    """Conclude from all trials of a plan: chosen_model.yaml, conclusion.json, trials.json.

    Raises:
        TrainingFailed: none of them could be measured.
        ArtefactCorrupt: the ledger lacks one of them: then nobody knows how many there were.
    """
    keys = list(trials)
    outcomes = [Outcome.read(path) for path in open_inputs({key: key for key in keys}).values()]
    require_recorded(study, outcomes)
    return run_stage(study, recipe_for(plan, keys), lambda draft: _write(outcomes, draft)).key


def recipe_for(plan: str, trials: Sequence[str]) -> Recipe:
    """The trials decide, and nothing of the study."""
    numbered = {f"trial_{place:05d}": key for place, key in enumerate(trials, start=1)}
    return recipe_of(
        "choose_model", config={}, inputs={"plan": plan, **numbered}, libraries=("pyyaml",)
    )


def _write(outcomes: Sequence[Outcome], draft: Path) -> Counts:
    found = write_conclusion(outcomes, draft)
    return {
        "trials": found.trials,
        "complete": found.complete,
        "pruned": found.pruned,
        "failed": found.failed,
        "best": found.best,
        "keep_constraints": sum(
            one.keeps_constraints for one in outcomes if one.state == "complete"
        ),
    }
