"""What is decided once all shards are together: splits, weights, vocabulary, flow, leakage."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.artefacts import Counts
from pipelines.domains import Domain, load_domain
from pipelines.event_store import scan_events
from pipelines.example_placing import place, placed_nowhere, split_checks
from pipelines.example_shards import ShardWords, examples_together, numbers_of, words_of
from pipelines.examples import Examples
from pipelines.replay import replayed_together
from pipelines.sequence_merging import Merged, merge_shards, observed_among
from pipelines.sequence_recipes import SequenceRecipes
from pipelines.sequences import save_arrays, write_description
from pipelines.splits import TRAIN, Assignment, Placed, assign_splits
from pipelines.study import Study
from validation.leakage import LeakageCheck, steps_after_the_index_time

OTHER_LABELS = "other_labels.parquet"


@dataclass(frozen=True)
class _Decided:
    """Of each example [E] where it lies, its part in every model and its weight; of each channel if
    it is kept.
    """

    placed: Placed
    parts: Assignment
    weight: npt.NDArray[np.float32]
    kept: npt.NDArray[np.bool_]
    checks: list[LeakageCheck]


def write_merged(
    recipes: SequenceRecipes, folders: list[Path], inputs: dict[str, Path], draft: Path
) -> Counts:
    """Everything of the artefact: the ragged store, the example table, flow and leakage checks."""
    spec, words = recipes.spec, words_of(folders)
    domain = load_domain(spec.domain)
    examples, beside = examples_together(folders, words)
    if recipes.as_of is None:
        decided = _decided_for_training(domain, spec, folders, words[0], examples)
        _write_other_labels(domain, spec, inputs["events"], examples, decided, draft)
    else:
        decided = _decided_for_scoring(words[0], examples)
    channels = [
        channel for channel, kept in zip(words[0].channels, decided.kept, strict=True) if kept
    ]
    numeric = np.array([kind == "numeric" for _, kind in channels], np.bool_)
    merged = merge_shards(folders, decided.kept, numeric, draft)
    save_arrays(draft, _columns(domain, spec, examples, decided, beside))
    write_description(draft, _description(domain, spec, examples, channels, decided, words[0]))
    _write_examples(examples, decided, merged, draft)
    return _write_facts(domain, spec, examples, decided, merged, words, draft)


def _decided_for_training(
    domain: Domain, spec: Study, folders: list[Path], words: ShardWords, examples: Examples
) -> _Decided:
    placed = place(examples.frame, spec.split)
    parts = assign_splits(placed, spec.split)
    trained_on = parts.split == TRAIN
    return _Decided(
        placed=placed,
        parts=parts,
        weight=domain.weights(examples.frame, trained_on),
        # What only later splits ever say is unknown to a model that learns from the first.
        kept=observed_among(folders, trained_on, len(words.channels)),
        checks=split_checks(spec.split, examples.frame, placed, parts),
    )


def _decided_for_scoring(words: ShardWords, examples: Examples) -> _Decided:
    rows = examples.frame.height
    return _Decided(
        placed=place(examples.frame),
        parts=placed_nowhere(rows),
        weight=np.ones(rows, np.float32),
        kept=np.ones(len(words.channels), np.bool_),
        checks=[],
    )


def _write_other_labels(
    domain: Domain, spec: Study, events: Path, examples: Examples, decided: _Decided, draft: Path
) -> None:
    """The labels by other definitions, from the few codes that these ask for."""
    codes = domain.codes_of_other_labels(spec.records)
    asked = scan_events(events).filter(pl.col("code").cast(pl.String).is_in(codes))
    others = domain.other_labels(
        spec.records,
        asked.select("subject_id", "time", "known_time", "code").collect(),
        examples.frame,
        decided.parts.split == TRAIN,
    )
    if others is not None:
        others.write_parquet(draft / OTHER_LABELS)


def _columns(
    domain: Domain,
    spec: Study,
    examples: Examples,
    decided: _Decided,
    beside: npt.NDArray[np.float32],
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of the store with one row per example."""
    frame, placed = examples.frame, decided.placed
    return {
        "static_value": numbers_of(frame.select(examples.statics), frame.height),
        "label": frame["label"].fill_null(np.nan).to_numpy().astype(np.float32),
        "label_end_day": placed.label_end_day,
        "followed_days": domain.followed_days(spec.records, frame),
        "other_label": beside,
        "scale": frame["scale"].to_numpy().astype(np.float32),
        "weight": decided.weight,
        "split": decided.parts.split,
        "windows": decided.parts.windows,
        "cluster": placed.cluster,
        "subject": frame["subject_id"].to_numpy(),
        "index_day": placed.index_day,
    }


def _description(
    domain: Domain,
    spec: Study,
    examples: Examples,
    channels: list[tuple[str, str]],
    decided: _Decided,
    words: ShardWords,
) -> dict[str, Any]:
    """The words of the store; a model is only used on sequences that say the same."""
    task, levels = domain.task(spec.records)
    return {
        "channels": [{"code": code, "kind": kind} for code, kind in channels],
        "statics": list(examples.statics),
        "task": task,
        "levels": list(levels),
        "horizon": domain.horizon(spec.records),
        "resampling": decided.parts.resampling,
        "other_labels": words.beside,
    }


def _write_examples(examples: Examples, decided: _Decided, merged: Merged, draft: Path) -> None:
    examples.frame.with_columns(
        split=pl.Series(decided.parts.split),
        weight=pl.Series(decided.weight),
        sequence_length=pl.Series(merged.lengths),
        share_missing=pl.Series(merged.share_missing),
    ).write_parquet(draft / "examples.parquet")


def _write_facts(
    domain: Domain,
    spec: Study,
    examples: Examples,
    decided: _Decided,
    merged: Merged,
    words: list[ShardWords],
    draft: Path,
) -> Counts:
    checks = [
        steps_after_the_index_time(merged.steps, merged.steps_after_index),
        replayed_together([one.replayed for one in words]).check(),
        *decided.checks,
    ]
    unknown = merged.dropped_observations + sum(one.unknown_observations for one in words)
    facts = {
        "groups": examples.groups,
        "flow": [step.as_dict() for step in examples.flow],
        "leakage": [check.as_dict() for check in checks],
        "observations": merged.observations,
        "unknown_observations": unknown,
        "is_point_in_time": domain.is_point_in_time(spec.records),
    }
    (draft / "facts.json").write_text(json.dumps(facts, indent=1))
    return {
        "examples": examples.frame.height,
        "steps": merged.steps,
        "observations": merged.observations,
        "unknown_observations": unknown,
        "channels": int(decided.kept.sum()),
    }
