"""What the artefacts say of data, model and lineage, in the words of the evidence."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import polars as pl

from models.compression.registry import TRAINED
from models.config import ModelConfig
from pipelines.stage import store
from validation.data_evidence import (
    CheckResult,
    DataEvidence,
    FileRows,
    Finding,
    QuarantineRule,
    SplitSize,
)
from validation.estimates import Counts
from validation.evidence import LineageEntry, ModelSummary, PopulationEvidence, TrainingCost
from validation.flow import StepCounts, disclosed_flow

TRAINING_LOG = "training_log.json"

# An encoder that is no abbreviation.
NAMES = {"attention": "LSTM with attention"}


def data_evidence(
    inputs: Mapping[str, Path],
    predictions: pl.DataFrame,
    minimum_cell_subjects: int,
    audited: PopulationEvidence | None,
) -> DataEvidence:
    """Files, quarantine, exclusions, findings, checks and splits.

    Args:
        inputs: the directories of ``events``, ``checks``, ``sequences`` and ``predictions``.
        predictions: the table that was audited.
        minimum_cell_subjects: counts by group below it are hidden.
        audited: the population of all examples, whose counts the flow must agree with.
    """
    accounts = _read(inputs["events"] / "accounts.json")
    checks = _read(inputs["checks"] / "checks.json")
    facts = _read(inputs["sequences"] / "facts.json")
    leakage = [*facts["leakage"], *_read(inputs["predictions"] / "checks.json")]
    steps = [StepCounts(**step) for step in facts["flow"]]
    return DataEvidence(
        files=tuple(_file_rows(account) for account in accounts),
        quarantine=tuple(rule for account in accounts for rule in _quarantine_rules(account)),
        flow=disclosed_flow(steps, minimum_cell_subjects, audited),
        findings=_findings(accounts, checks),
        checks=(
            *(CheckResult.model_validate(check) for check in checks["checks"]),
            *(CheckResult(table="sequences", kind="leakage", **check) for check in leakage),
        ),
        splits=_split_sizes(inputs["sequences"], predictions, minimum_cell_subjects),
    )


def model_summary(model: Path) -> ModelSummary:
    """Architecture, seeds and how training went, from the model's own files."""
    words, log = _read(model / "model.json"), _read(model / TRAINING_LOG)
    released = {name: entry for name, entry in log.items() if name.startswith("seed_")}
    config = words["config"]
    return ModelSummary(
        architecture=architecture_of(ModelConfig.model_validate(config)),
        seeds=tuple(config["seeds"]),
        epochs=tuple(entry["best_epoch"] for entry in released.values()),
        clip_rate=fmean(epoch["clip_rate"] for e in log.values() for epoch in e["epochs"]),
        training=training_cost(log),
        details={name: _plain(value) for name, value in config.items()}
        | {"form": words.get("form", TRAINED)}
        | {f"made with {name}": version for name, version in words["made_with"].items()},
    )


def training_cost(log: Mapping[str, Any]) -> TrainingCost | None:
    """Of all networks in a training's log: seconds add up, the largest memory counts."""
    costs = [entry.get("cost", {}) for entry in log.values()]
    if not costs or not all("gpu_seconds" in cost for cost in costs):
        return None
    return TrainingCost(
        file=TRAINING_LOG,
        networks=len(costs),
        device=costs[0]["device"],
        processes=max(cost["processes"] for cost in costs),
        seconds=sum(cost["seconds"] for cost in costs),
        gpu_seconds=sum(cost["gpu_seconds"] for cost in costs),
        peak_memory_bytes=max(cost["peak_memory_bytes"] for cost in costs),
    )


def architecture_of(config: ModelConfig) -> str:
    """What reads the sequences, how large it is, and who answers with it, in words."""
    encoder = config.encoder
    told = [
        f"masked {NAMES.get(encoder.kind, encoder.kind.replace('_', '-').upper())}",
        f"{config.layers} x {config.hidden_size} units",
        *(["read from both ends"] if encoder.bidirectional else []),
        *(["fading with time"] if encoder.decay else []),
        *(["hazard head"] if config.head == "hazard" else []),
        *(f"answering with {name.replace('_', ' ')}" for name in config.together_with),
    ]
    return ", ".join(told)


def is_point_in_time(sequences: Path) -> bool:
    """Whether the universe holds those who were there at the time, as the study declares."""
    return bool(_read(sequences / "facts.json")["is_point_in_time"])


def lineage(keys: Mapping[str, str]) -> tuple[LineageEntry, ...]:
    """The artefacts behind a set of input keys, each with one sha256 over its files."""
    return tuple(
        LineageEntry(stage=key.split("/")[0], key=key, sha256=store().content_sha256(key))
        for key in keys.values()
    )


def unknown_events(sequences: Path) -> dict[str, int]:
    """How many events of the scored subjects the model's vocabulary covers, and does not."""
    facts = _read(sequences / "facts.json")
    unknown = int(facts["unknown_observations"])
    return {
        "events": unknown + int(facts["observations"]),
        "unknown_code_events": unknown,
    }


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _plain(value: Any) -> str | int | float | None:
    return value if isinstance(value, str | int | float | None) else str(value)


def _file_rows(account: Mapping[str, Any]) -> FileRows:
    counted = ("rows_in", "accepted", "quarantined", "duplicates", "empty")
    return FileRows(file=_place(account), **{name: account[name] for name in counted})


def _place(account: Mapping[str, Any]) -> str:
    return f"{account['file']} ({account['part']})"


def _quarantine_rules(account: Mapping[str, Any]) -> list[QuarantineRule]:
    return [
        QuarantineRule(file=_place(account), rule=rule, rows=rows, words=account["reasons"][rule])
        for rule, rows in account["quarantined_by_rule"].items()
    ]


def _findings(accounts: list[Mapping[str, Any]], checks: Mapping[str, Any]) -> tuple[Finding, ...]:
    copies = [
        Finding(
            kind="copied channel",
            where=f"{copy['code']} and {copy['copy_of']}",
            words=f"{copy['code']} equals {copy['copy_of']} in {copy['equal_rows']:,} of the "
            f"{copy['joined_rows']:,} moments at which both were measured: one of them says "
            "nothing, and which is the true one cannot be known from the data",
            count=copy["equal_rows"],
            share=copy["share"],
        )
        for copy in checks["copied_channels"]
    ]
    repeated = [
        Finding(
            kind="duplicate rows",
            where=_place(account),
            words=f"{account['duplicates']:,} rows repeat an earlier row exactly; one of each "
            "was kept",
            count=account["duplicates"],
            share=account["duplicates"] / account["rows_in"],
        )
        for account in accounts
        if account["duplicates"]
    ]
    of_domain = [Finding.model_validate(found) for found in checks["findings"]]
    return (*copies, *repeated, *of_domain)


def _split_sizes(sequences: Path, predictions: pl.DataFrame, minimum: int) -> tuple[SplitSize, ...]:
    """Counts by split: of people, or of forecasts' rows, instruments and blocks of time."""
    if _read(sequences / "sequence.json")["task"] == "risk":
        return _splits_of_people(predictions, minimum)
    known = pl.col("label").is_not_null()
    sizes = predictions.group_by("split", maintain_order=True).agg(
        subjects=pl.col("subject_id").n_unique(),
        rows=known.sum(),
        blocks=pl.col("cluster").filter(known).n_unique(),
        unknown=(~known).sum(),
    )
    return _shown(sizes, ["subjects", "rows", "blocks", "unknown"])


def _splits_of_people(predictions: pl.DataFrame, minimum: int) -> tuple[SplitSize, ...]:
    """A column with one small count is hidden whole, since its sum is known; so is `censored`
    where few without the event would follow from the three."""
    sizes = predictions.group_by("split", maintain_order=True).agg(
        subjects=pl.len(),
        positives=(pl.col("label") == 1).sum(),
        censored=pl.col("label").is_null().sum(),
        negatives=(pl.col("label") == 0).sum(),
    )
    counted = ("subjects", "positives", "censored", "negatives")
    shown = [name for name in counted if not sizes[name].is_between(1, minimum - 1).any()]
    if "negatives" not in shown:
        shown = [name for name in shown if name != "censored"]
    others = sizes["subjects"] - sizes["positives"]
    if others.is_between(1, minimum - 1).any():
        shown = [name for name in shown if name != "positives"]
    return _shown(sizes, [name for name in shown if name != "negatives"])


def _shown(sizes: pl.DataFrame, names: Sequence[str]) -> tuple[SplitSize, ...]:
    return tuple(
        SplitSize(split=row["split"], counts=Counts(**{name: row[name] for name in names}))
        for row in sizes.iter_rows(named=True)
    )
