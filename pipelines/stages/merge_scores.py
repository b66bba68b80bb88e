"""merge_scores: the shards' scores become one table, by the release that made them."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pipelines.artefacts import Counts
from pipelines.releases import Release
from pipelines.score_recipes import ScoreRecipes
from pipelines.shard_parts import in_order
from pipelines.stage import run_stage, store
from validation.mitigation.records import THRESHOLD


def merge_scores(study: str, sequences: str, parts: Sequence[str]) -> str:
    """Everybody's scores, in the order of the subjects.

    Args:
        sequences: the merged sequences that were scored.
        parts: keys of ``score_subjects`` of all shards, in any order.

    Raises:
        NoRelease: no release stands that the study as it is now may use.
        ReleaseChanged: another release stands than the one that the shards were made by.
        ArtefactCorrupt: the parts are not all the shards of these sequences by this release.
    """
    recipes = ScoreRecipes.of(study, sequences)

    def write(draft: Path) -> Counts:
        folders = [store().open(key) for key in in_order(parts, recipes.shard)]
        return _write(folders, recipes.release, draft)

    return run_stage(study, recipes.merged(), write).key


def _write(folders: list[Path], release: Release, draft: Path) -> Counts:
    tables = [pl.read_parquet(folder / "scores.parquet") for folder in folders]
    # A shard without anybody has no column of scores.
    filled = [table for table in tables if table.height] or tables[:1]
    shown = pl.concat(filled, rechunk=True)
    shown.write_parquet(draft / "scores.parquet")
    (draft / "release.json").write_text(json.dumps({"release_id": release.release_id}))
    if release.threshold is None or not shown.height:
        return {"subjects": shown.height}
    limit = pl.col(THRESHOLD) if THRESHOLD in shown.columns else release.threshold
    selected = shown.select((pl.col("score_calibrated") >= limit).sum()).item()
    return {"subjects": shown.height, "selected": int(selected)}
