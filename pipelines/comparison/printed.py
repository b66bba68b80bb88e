"""A comparison as a table on a terminal."""

from pathlib import Path

from pipelines.console import print_table
from validation.comparison_record import ComparisonRecord
from validation.report.comparison_page import (
    comparison_units,
    cost_words,
    sentences,
    shown_name,
)
from validation.report.formatting import interval, spread
from validation.report.names import metric_short


def print_comparison(record: Path) -> None:
    """The models with what decides and what they cost, and in words what it says."""
    read = ComparisonRecord.model_validate_json(record.read_text())
    comparison = read.comparison
    primary = comparison.primary
    unit = comparison_units(comparison).value(primary)
    columns = (
        *("model", metric_short(primary), "folds alone", "minus the best simple model"),
        *("parameters", "processor s", "MiB"),
    )
    rows = []
    for model in comparison.models:
        cost = cost_words(read.models[model.name].cost)
        difference = model.to_best_challenger.get(primary)
        rows.append(
            (
                shown_name(model.name),
                interval(model.metrics[primary], unit),
                spread(model.by_fold, unit),
                "" if difference is None else interval(difference, unit),
                cost["parameters"],
                cost["processor_seconds"],
                cost["memory"],
            )
        )
    print_table(columns, rows)
    for sentence in sentences(read):
        print(sentence)
