"""From the answers of several model sections to one table: a column per model, and its cost."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import polars as pl

from pipelines.out_of_sample import CrossValidated, examples_of
from validation.comparison import Kind, ModelCost
from validation.forecast_populations import forecast_columns
from validation.tasks import Task

SCORE = "score"


def answers_table(
    answered: Mapping[str, Sequence[CrossValidated]],
    beside: Sequence[CrossValidated],
    challengers: Sequence[str],
    task: Task,
) -> pl.DataFrame:
    """Every example with `fold` and what each model and each seed of it says; null: not answered.

    A row that several folds test is judged by the mean of their answers, in the first of them.

    Args:
        answered: name -> answers by folds that do not overlap; all by the same folds.
        beside: answers of any model that hold the challengers' too, by the same folds.
    """
    table = examples_of(beside[0].sequences_key)
    kept = [each for one in challengers for each in forecast_columns(task, one)]
    simple = pl.concat([part.predictions.select("row", "fold", *kept) for part in beside])
    table = table.join(_by_row(simple), on="row", how="left")
    for name, parts in answered.items():
        # Some parts hold the simple models' answers too.
        own = pl.concat([_renamed(part.predictions, name, task) for part in parts])
        table = table.join(_by_row(own), on="row", how="left")
    return table


def seed_columns(name: str, found: CrossValidated, task: Task) -> list[str]:
    """The model names of each seed alone, in the table of ``answers_table``."""
    return [_of_seed(name, seed) for seed in _seeds(found.predictions, task)]


def kinds_of(networks: Sequence[str], challengers: Sequence[str]) -> dict[str, Kind]:
    """Each model's name and what it is."""
    kinds: dict[str, Kind] = dict.fromkeys(networks, "network")
    return kinds | dict.fromkeys(challengers, "challenger")


def cost_of(found: Sequence[CrossValidated]) -> ModelCost:
    """What a section's networks took together."""
    networks = [one for part in found for one in part.cost["networks"].values()]
    return ModelCost(
        networks=len(networks),
        epochs=_sum(networks, "epochs"),
        seconds=_sum(networks, "seconds"),
        processor_seconds=_sum(networks, "processor_seconds"),
        scoring_seconds_per_1000_rows=_per_1000(networks),
        peak_memory_bytes=max(one["peak_memory_bytes"] for one in networks),
        parameters=max(one["parameters"] for one in networks),
    )


def cost_of_challenger(name: str, found: Sequence[CrossValidated]) -> ModelCost:
    """What fitting and asking one simple model took."""
    fitted = [
        one
        for part in found
        for one in part.cost["challengers"].values()
        if one["challenger"] == name
    ]
    return ModelCost(
        processor_seconds=_sum(fitted, "processor_seconds"),
        scoring_seconds_per_1000_rows=_per_1000(fitted),
    )


def _sum(costs: Sequence[Mapping[str, Any]], name: str) -> Any:
    return sum(one[name] for one in costs)


def _per_1000(costs: Sequence[Mapping[str, Any]]) -> float:
    return fmean(1000.0 * float(one["scoring_seconds_per_row"]) for one in costs)


def _renamed(predictions: pl.DataFrame, name: str, task: Task) -> pl.DataFrame:
    names = {SCORE: name} | {
        f"seed_{seed}": _of_seed(name, seed) for seed in _seeds(predictions, task)
    }
    columns = {
        before: after
        for old, new in names.items()
        for before, after in zip(
            forecast_columns(task, old), forecast_columns(task, new), strict=True
        )
    }
    return predictions.select("row", *(pl.col(old).alias(new) for old, new in columns.items()))


def _by_row(predictions: pl.DataFrame) -> pl.DataFrame:
    """One line per row."""
    first = [pl.col("fold").first()] if "fold" in predictions.columns else []
    return predictions.group_by("row", maintain_order=True).agg(
        *first, pl.exclude("row", "fold").mean()
    )


def _seeds(predictions: pl.DataFrame, task: Task) -> list[int]:
    before, after = forecast_columns(task, "seed_*")[0].split("*")
    found = (
        name.removeprefix(before).removesuffix(after)
        for name in predictions.columns
        if name.startswith(before) and name.endswith(after)
    )
    # The spread over seeds stands there too, and is none.
    return sorted(int(each) for each in found if each.isdigit())


def _of_seed(name: str, seed: int) -> str:
    return f"{name} seed {seed}"
