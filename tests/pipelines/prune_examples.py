"""A store of artefacts of chosen ages and uses, and a prune that looks at what it left."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from pipelines.artefacts import ArtefactStore, Counts, Recipe
from pipelines.journal import JournalEntry, append_entry
from pipelines.prune import carry_out, plan_prune
from pipelines.settings import Settings

DAY = 24 * 3600


def store(home: Settings) -> ArtefactStore:
    return ArtefactStore(home.artefacts_dir)


def write(draft: Path) -> Counts:
    """Make a table of a thousand bytes."""
    (draft / "table.txt").write_text("x" * 1000)
    return {}


def make(
    home: Settings, stage: str, inputs: Sequence[str] = (), *, number: int = 0, days_old: float = 30
) -> str:
    """An artefact made so many days ago."""
    named = dict(zip("abcdefghij", inputs, strict=False))
    if stage in ("check_events", "explain_predictions") and inputs:
        named = {{"check_events": "events"}.get(stage, "scores"): inputs[0]}
    recipe = Recipe(stage, {}, {}, {"number": number}, named, {})
    artefact = store(home).make(recipe, write)
    age(artefact.path, days_old)
    return artefact.key


def age(path: Path, days: float) -> None:
    """Have all that lies under a path be that many days old."""
    moment = time.time() - days * DAY
    for each in [path, *path.rglob("*")]:
        os.utime(each, (moment, moment))


def note_use(key: str, *, days_ago: float, study: str = "toy") -> None:
    """Enter in the journal that a study used an artefact."""
    moment = time.time() - days_ago * DAY
    append_entry(
        JournalEntry(
            study=study,
            stage=key.split("/")[0],
            key=key,
            made=False,
            seconds=0.0,
            counts={},
            at_unix=moment,
        )
    )


def prune(home: Settings, *, older_than_days: float = 7) -> set[str]:
    """Prune and tell which artefacts are gone, after a look that every other one is whole."""
    before = kept(home)
    plan = plan_prune(store(home), home, older_than_days=older_than_days)
    carry_out(plan, store(home))
    after = kept(home)
    for key in after:
        store(home).open(key)
    assert {removal.key for removal in plan.removals if removal.key} == before - after
    return before - after


def kept(home: Settings) -> set[str]:
    """The keys of the artefacts that are there."""
    return {f"{path.parent.name}/{path.name}" for path in home.artefacts_dir.glob("[!.]*/[!.]*")}
