"""build_sequences: events become examples and their ragged sequences, and leakage is looked for."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.artefacts import Counts, Recipe
from pipelines.domains import load_domain, source_module
from pipelines.errors import LeakageFound
from pipelines.examples import Examples
from pipelines.provenance import standing_release
from pipelines.publication.withdrawal import finish_changes
from pipelines.sequences import (
    Sequences,
    gather_sequences,
    observed_channels,
    select,
    share_missing,
    write_sequences,
)
from pipelines.settings import settings
from pipelines.splits import split_by_cluster
from pipelines.stage import open_inputs, recipe_of, run_stage
from pipelines.study import Study, load_study
from validation.leakage import (
    LeakageCheck,
    no_cluster_in_two_splits,
    no_step_after_the_index_time,
    truncation_replay,
)

# A leak of one day shows only in subjects with an event on that very day: a small sample has none.
REPLAYED_EXAMPLES = 50_000


def build_sequences(study: str, events: str) -> str:
    """Training examples with labels, weights and splits; vocabulary from the training split.

    Raises:
        LeakageFound: the future or another split reached a feature; the findings stay.
    """
    spec = load_study(study)
    artefact = run_stage(
        study,
        recipe_for(study, events),
        lambda draft: _write_training(spec, open_inputs({"events": events})["events"], draft),
    )
    _judge(artefact.path)
    return artefact.key


def recipe_for(study: str, events: str) -> Recipe:
    """What decides the training sequences: the events, cohort, outcome and split."""
    spec = load_study(study)
    return recipe_of(
        "build_sequences",
        config=_config(spec) | {"split": spec.split.model_dump(mode="json")},
        inputs={"events": events},
        modules=(source_module(spec.domain),),
    )


def build_scoring_sequences(study: str, events: str, as_of: str) -> str:
    """Every subject eligible as of a date, in the vocabulary of the release that stands.

    Args:
        as_of: an ISO date or time; a time without zone is UTC, a date means its first moment.

    Raises:
        NoRelease: no release stands.
        LeakageFound: the future reached a feature; the findings stay.
    """
    spec = load_study(study)
    moment = datetime.fromisoformat(as_of)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    # Before anything can refuse: what people withdrew must be out of the readers' sight.
    finish_changes(settings())
    inputs = {"events": events, "vocabulary": standing_release(spec).sequences_key}
    recipe = recipe_of(
        "build_sequences",
        config=_config(spec) | {"as_of": moment.isoformat()},
        inputs=inputs,
        modules=(source_module(spec.domain),),
    )
    artefact = run_stage(
        study,
        recipe,
        lambda draft: _write_scoring(spec, open_inputs(inputs), moment, draft),
    )
    _judge(artefact.path)
    return artefact.key


@dataclass(frozen=True)
class _Source:
    """The event table and what the study takes from it."""

    events: pl.DataFrame
    kinds: dict[str, str]
    lookback_days: int | None
    horizon_days: int

    def sequences(self, examples: Examples, channels: list[str]) -> Sequences:
        return gather_sequences(self.events, examples.frame, channels, self.lookback_days)


def _config(spec: Study) -> dict[str, Any]:
    return {"domain": spec.domain, "records": spec.records.model_dump(mode="json")}


def _source(spec: Study, folder: Path) -> _Source:
    return _Source(
        events=pl.read_parquet(folder / "events.parquet"),
        kinds=load_domain(spec.domain).channel_kinds(spec.records),
        lookback_days=spec.records.cohort.lookback_days,
        horizon_days=spec.records.outcome.horizon_days,
    )


def _write_training(spec: Study, events: Path, draft: Path) -> Counts:
    domain, source = load_domain(spec.domain), _source(spec, events)
    subjects = pl.read_parquet(events / "subjects.parquet")
    examples = domain.training_examples(spec.records, source.events, subjects)
    cluster = examples.frame["matched_set"].to_numpy()
    split = split_by_cluster(cluster, spec.split)
    candidates = sorted(source.kinds)
    sequences = source.sequences(examples, candidates)
    # What only later splits ever say is unknown to a model that learns from the first.
    seen = observed_channels(sequences, split == 0, len(candidates))
    channels = [candidates[number] for number in seen]
    sequences = source.sequences(examples, channels)
    columns: dict[str, npt.NDArray[Any]] = {
        "label": examples.frame["label"].fill_null(np.nan).to_numpy().astype(np.float32),
        "weight": domain.weights(examples.frame, split == 0),
        "split": split,
        "cluster": cluster,
    }
    checks = [
        no_cluster_in_two_splits("matched_set", cluster, split),
        no_cluster_in_two_splits("subject_id", examples.frame["subject_id"].to_numpy(), split),
    ]
    return _write(source, examples, channels, sequences, columns, checks, draft)


def _write_scoring(spec: Study, inputs: dict[str, Path], as_of: datetime, draft: Path) -> Counts:
    domain, source = load_domain(spec.domain), _source(spec, inputs["events"])
    subjects = pl.read_parquet(inputs["events"] / "subjects.parquet")
    examples = domain.scoring_examples(spec.records, source.events, subjects, as_of)
    vocabulary = json.loads((inputs["vocabulary"] / "sequence.json").read_text())
    channels = [channel["code"] for channel in vocabulary["channels"]]
    rows = examples.frame.height
    columns: dict[str, npt.NDArray[Any]] = {
        "label": np.full(rows, np.nan, np.float32),
        "weight": np.ones(rows, np.float32),
        "split": np.full(rows, -1, np.int8),
        "cluster": examples.frame["matched_set"].to_numpy(),
    }
    sequences = source.sequences(examples, channels)
    return _write(source, examples, channels, sequences, columns, [], draft)


def _write(
    source: _Source,
    examples: Examples,
    channels: list[str],
    sequences: Sequences,
    columns: dict[str, npt.NDArray[Any]],
    checks: list[LeakageCheck],
    draft: Path,
) -> Counts:
    """Everything of the artefact: the ragged store, the example table, flow and leakage checks."""
    frame = examples.frame
    description = {
        "channels": [{"code": code, "kind": source.kinds[code]} for code in channels],
        "statics": list(examples.statics),
        "horizon_days": source.horizon_days,
    }
    statics = frame.select(examples.statics).fill_null(np.nan).to_numpy().astype(np.float32)
    write_sequences(draft, sequences, columns | {"static_value": statics}, description)
    checks = [
        no_step_after_the_index_time(sequences.step_days),
        _replay(source, examples, channels, sequences),
        *checks,
    ]
    numeric = np.array([source.kinds[code] == "numeric" for code in channels])
    frame.with_columns(
        split=pl.Series(columns["split"]),
        weight=pl.Series(columns["weight"]),
        sequence_length=pl.Series(np.diff(sequences.step_offsets)),
        share_missing=pl.Series(share_missing(sequences, numeric)),
    ).write_parquet(draft / "examples.parquet")
    unknown = _unknown_observations(source, examples, channels)
    facts = {
        "groups": examples.groups,
        "flow": [step.as_dict() for step in examples.flow],
        "leakage": [check.as_dict() for check in checks],
        "observations": sequences.observation_value.size,
        "unknown_observations": unknown,
    }
    (draft / "facts.json").write_text(json.dumps(facts, indent=1))
    return {
        "examples": frame.height,
        "steps": sequences.step_days.size,
        "observations": sequences.observation_value.size,
        "unknown_observations": unknown,
        "channels": len(channels),
    }


def _unknown_observations(source: _Source, examples: Examples, channels: list[str]) -> int:
    """Events of the examples that the vocabulary has no channel for."""
    unknown = sorted(set(source.kinds) - set(channels))
    if not unknown:
        return 0
    return source.sequences(examples, unknown).observation_value.size


def _replay(
    source: _Source, examples: Examples, channels: list[str], stored: Sequences
) -> LeakageCheck:
    """Truncation replay: delete all that was known later, rebuild, demand identical arrays."""
    rows = examples.frame.height
    sample = np.unique(np.linspace(0, rows - 1, min(rows, REPLAYED_EXAMPLES)).astype(np.int64))
    chosen = examples.frame[sample]
    truncated = source.events.join(
        chosen.select("subject_id", "index_time"), on="subject_id", maintain_order="left"
    ).filter(
        (pl.col("known_time") <= pl.col("index_time")) & (pl.col("time") <= pl.col("index_time"))
    )
    rebuilt = gather_sequences(truncated, chosen, channels, source.lookback_days)
    return truncation_replay(select(stored, sample).arrays(), rebuilt.arrays(), sample.size)


def _judge(folder: Path) -> None:
    checks = json.loads((folder / "facts.json").read_text())["leakage"]
    failed = [check for check in checks if not check["passed"]]
    if failed:
        raise LeakageFound(
            "The future, or another split, reached a feature:\n"
            + "\n".join(f"  {check['name']}: {check['words']}" for check in failed),
            where=str(folder / "facts.json"),
            remedy="Look at the known times and matched sets of the source. If they are right, "
            "this is a fault of Equipoise: please report it.",
        )
