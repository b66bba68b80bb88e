"""build_sequences: events become examples and their ragged sequences, and leakage is looked for."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.artefacts import Counts, Recipe
from pipelines.domains import Domain, load_domain, source_module
from pipelines.errors import LeakageFound, SourceInvalid
from pipelines.event_store import read_events
from pipelines.examples import Examples
from pipelines.provenance import standing_release
from pipelines.publication.store import open_store
from pipelines.replay import Stored, replay_cuts, replay_examples
from pipelines.sequences import (
    Sequences,
    gather_sequences,
    observed_channels,
    share_missing,
    write_sequences,
)
from pipelines.settings import settings
from pipelines.splits import (
    Assignment,
    DeclaredSplit,
    GroupedSplit,
    Placed,
    WalkForward,
    assign_splits,
)
from pipelines.stage import CORE_LIBRARIES, open_inputs, recipe_of, run_stage
from pipelines.study import Study, load_study
from validation.leakage import (
    LeakageCheck,
    no_cluster_in_two_splits,
    no_label_reaches_the_next_part,
    no_step_after_the_index_time,
)

MICROSECONDS_PER_DAY = 86_400_000_000
OTHER_LABELS = "other_labels.parquet"


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
        libraries=(*CORE_LIBRARIES, *load_domain(spec.domain).LIBRARIES),
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
    open_store(settings()).finish_changes()
    inputs = {"events": events, "vocabulary": standing_release(spec).sequences_key}
    recipe = recipe_of(
        "build_sequences",
        config=_config(spec) | {"as_of": moment.isoformat()},
        inputs=inputs,
        libraries=(*CORE_LIBRARIES, *load_domain(spec.domain).LIBRARIES),
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
    """The tables, what the domain takes from them, and how it makes examples of events."""

    domain: Domain
    config: Any
    events: pl.DataFrame
    subjects: pl.DataFrame
    examples_of: Callable[[pl.DataFrame], Examples]
    kinds: dict[str, str]
    features: pl.DataFrame

    @classmethod
    def read(
        cls,
        spec: Study,
        folder: Path,
        examples_of: Callable[[pl.DataFrame, pl.DataFrame], Examples],
    ) -> Self:
        domain, config = load_domain(spec.domain), spec.records
        events = read_events(folder)
        subjects = pl.read_parquet(folder / "subjects.parquet")
        return cls(
            domain=domain,
            config=config,
            events=events,
            subjects=subjects,
            examples_of=lambda cut: examples_of(cut, subjects),
            kinds=domain.channel_kinds(config, events),
            features=domain.feature_events(config, events, subjects),
        )

    def sequences(self, examples: Examples, channels: list[str]) -> Sequences:
        lookback = self.domain.lookback_days(self.config)
        return gather_sequences(self.features, examples.frame, channels, lookback)

    def replay(
        self, examples: Examples, channels: list[str], sequences: Sequences, as_of: datetime | None
    ) -> LeakageCheck:
        """Truncation replay, of the events that features were computed from where they were."""
        lookback = self.domain.lookback_days(self.config)
        stored = Stored(examples, sequences, channels, lookback)
        if not self.domain.DERIVES_FEATURES:
            return replay_examples(
                self.features, stored, partial(self.domain.derived_statics, self.config)
            )

        def build(known: pl.DataFrame) -> tuple[pl.DataFrame, Examples]:
            features = self.domain.feature_events(self.config, known, self.subjects)
            return features, self.examples_of(known)

        return replay_cuts(self.events, build, stored, at=as_of)


def _config(spec: Study) -> dict[str, Any]:
    return {"domain": spec.domain, "records": spec.records.model_dump(mode="json")}


def _write_training(spec: Study, events: Path, draft: Path) -> Counts:
    domain = load_domain(spec.domain)
    source = _Source.read(
        spec, events, lambda cut, people: domain.training_examples(spec.records, cut, people)
    )
    examples = source.examples_of(source.events)
    placed = _placed(examples.frame, spec.split)
    parts = assign_splits(placed, spec.split)
    candidates = sorted(source.kinds)
    sequences = source.sequences(examples, candidates)
    # What only later splits ever say is unknown to a model that learns from the first.
    seen = observed_channels(sequences, parts.split == 0, len(candidates))
    channels = [candidates[number] for number in seen]
    if channels != candidates:
        sequences = source.sequences(examples, channels)
    weight = domain.weights(examples.frame, parts.split == 0)
    checks = _split_checks(spec, examples.frame, placed, parts)
    others = domain.other_labels(spec.records, source.events, examples.frame, parts.split == 0)
    if others is not None:
        others.write_parquet(draft / OTHER_LABELS)
    beside = domain.labels_beside(spec.records, source.events, examples.frame)
    return _write(source, examples, channels, sequences, parts, weight, checks, beside, draft)


def _write_scoring(spec: Study, inputs: dict[str, Path], as_of: datetime, draft: Path) -> Counts:
    domain = load_domain(spec.domain)
    source = _Source.read(
        spec,
        inputs["events"],
        lambda cut, people: domain.scoring_examples(spec.records, cut, people, as_of),
    )
    examples = source.examples_of(source.events)
    vocabulary = json.loads((inputs["vocabulary"] / "sequence.json").read_text())
    channels = [channel["code"] for channel in vocabulary["channels"]]
    rows = examples.frame.height
    nowhere = Assignment(np.full(rows, -1, np.int8), np.empty((0, rows), np.int8), "none")
    weight = np.ones(rows, np.float32)
    sequences = source.sequences(examples, channels)
    nothing = pl.DataFrame()  # a score knows of no outcome
    return _write(
        source, examples, channels, sequences, nowhere, weight, [], nothing, draft, as_of=as_of
    )


def _placed(
    frame: pl.DataFrame, split: GroupedSplit | DeclaredSplit | WalkForward | None = None
) -> Placed:
    def days(column: str) -> npt.NDArray[np.float64]:
        micros = frame[column].dt.epoch("us").cast(pl.Float64).fill_null(np.nan)
        return micros.to_numpy() / MICROSECONDS_PER_DAY

    return Placed(
        frame["cluster"].to_numpy(),
        days("index_time"),
        days("label_end_time"),
        _declared(frame, split) if isinstance(split, DeclaredSplit) else None,
    )


def _declared(frame: pl.DataFrame, split: DeclaredSplit) -> list[str | None]:
    """What the source says of each example's subject, by which the study's parts go."""
    if split.attribute not in frame.columns:
        raise SourceInvalid(
            f"The subjects have no attribute {split.attribute}.",
            where="split.attribute",
            remedy="Name an attribute that the study's source gives its subjects.",
        )
    return frame[split.attribute].cast(pl.String).to_list()


def _split_checks(
    spec: Study, frame: pl.DataFrame, placed: Placed, parts: Assignment
) -> list[LeakageCheck]:
    """What the study's kind of split promises."""
    if isinstance(spec.split, WalkForward):
        return [
            no_label_reaches_the_next_part(parts.windows, placed.index_day, placed.label_end_day)
        ]
    return [
        no_cluster_in_two_splits("cluster", placed.cluster, parts.split),
        no_cluster_in_two_splits("subject_id", frame["subject_id"].to_numpy(), parts.split),
    ]


def _write(
    source: _Source,
    examples: Examples,
    channels: list[str],
    sequences: Sequences,
    parts: Assignment,
    weight: npt.NDArray[np.float32],
    checks: list[LeakageCheck],
    beside: pl.DataFrame,
    draft: Path,
    as_of: datetime | None = None,
) -> Counts:
    """Everything of the artefact: the ragged store, the example table, flow and leakage checks.

    Args:
        beside: a column per outcome that is learned beside the study's own; none where scored.
    """
    frame = examples.frame
    write_sequences(
        draft,
        sequences,
        _columns(source, examples, parts, weight, beside),
        _description(source, examples, channels, parts, beside),
    )
    checks = [
        no_step_after_the_index_time(sequences.step_days),
        source.replay(examples, channels, sequences, as_of),
        *checks,
    ]
    numeric = np.array([source.kinds[code] == "numeric" for code in channels])
    frame.with_columns(
        split=pl.Series(parts.split),
        weight=pl.Series(weight),
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
        "is_point_in_time": source.domain.is_point_in_time(source.config),
    }
    (draft / "facts.json").write_text(json.dumps(facts, indent=1))
    return {
        "examples": frame.height,
        "steps": sequences.step_days.size,
        "observations": sequences.observation_value.size,
        "unknown_observations": unknown,
        "channels": len(channels),
    }


def _columns(
    source: _Source,
    examples: Examples,
    parts: Assignment,
    weight: npt.NDArray[np.float32],
    beside: pl.DataFrame,
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of the store with one row per example."""
    frame, placed = examples.frame, _placed(examples.frame)
    return {
        "static_value": _numbers(frame.select(examples.statics), frame.height),
        "label": frame["label"].fill_null(np.nan).to_numpy().astype(np.float32),
        "label_end_day": placed.label_end_day,
        "followed_days": source.domain.followed_days(source.config, frame),
        "other_label": _numbers(beside, frame.height),
        "scale": frame["scale"].to_numpy().astype(np.float32),
        "weight": weight,
        "split": parts.split,
        "windows": parts.windows,
        "cluster": placed.cluster,
        "subject": frame["subject_id"].to_numpy(),
        "index_day": placed.index_day,
    }


def _numbers(columns: pl.DataFrame, rows: int) -> npt.NDArray[np.float32]:
    """[rows, columns], NaN where null; there may be no column."""
    numbers = columns.cast(pl.Float32).fill_null(np.nan).to_numpy()
    return numbers.reshape(rows, columns.width).astype(np.float32)


def _description(
    source: _Source,
    examples: Examples,
    channels: list[str],
    parts: Assignment,
    beside: pl.DataFrame,
) -> dict[str, Any]:
    """The words of the store; a model is only used on sequences that say the same."""
    task, levels = source.domain.task(source.config)
    return {
        "channels": [{"code": code, "kind": source.kinds[code]} for code in channels],
        "statics": list(examples.statics),
        "task": task,
        "levels": list(levels),
        "horizon": source.domain.horizon(source.config),
        "resampling": parts.resampling,
        "other_labels": beside.columns,
    }


def _unknown_observations(source: _Source, examples: Examples, channels: list[str]) -> int:
    """Events of the examples that the vocabulary has no channel for."""
    unknown = sorted(set(source.kinds) - set(channels))
    if not unknown:
        return 0
    return source.sequences(examples, unknown).observation_value.size


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
