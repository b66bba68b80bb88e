"""The best trials of a tuning as a table for a terminal."""

from pipelines.console import print_table
from pipelines.stage import store
from pipelines.tuning.conclusion import CHOSEN, ranked, read_chosen, read_trials
from pipelines.tuning.outcome import Outcome

KEPT, BROKEN, UNKNOWN = "kept", "BROKEN", "cannot tell"


def print_tuning(key: str, most: int) -> None:
    """Print the best trials, what was concluded, and where the model section lies.

    Args:
        key: of a `choose_model` artefact.
    """
    path = store().open(key)
    _, conclusion = read_chosen(path)
    print_table(*tuning_table(read_trials(path), most))
    print()
    print(conclusion.words)
    print(
        f"{conclusion.trials:,} trials: {conclusion.complete:,} measured, "
        f"{conclusion.pruned:,} stopped early, {conclusion.failed:,} failed; "
        "all are in the ledger of trials"
    )
    print(f"model section: {path / CHOSEN}")


def tuning_table(outcomes: list[Outcome], most: int) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: value, spread over folds, each constraint, and what was tried."""
    best = ranked(outcomes)[:most]
    constraints, parameters = list(best[0].excess), list(best[0].parameters)
    columns = ["trial", best[0].metric, "sd over folds", *constraints, *parameters]
    rows = [
        [
            str(one.number),
            f"{one.value:.4f}",
            "" if one.spread is None else f"{one.spread:.4f}",
            *(_told(one, name) for name in constraints),
            *(_short(one.parameters[name]) for name in parameters),
        ]
        for one in best
    ]
    return columns, rows


def _told(outcome: Outcome, constraint: str) -> str:
    seen = outcome.told[constraint]
    if seen is None:
        return f"{UNKNOWN}: {BROKEN}"
    return f"{seen:.3f} {KEPT if outcome.excess[constraint] <= 0 else BROKEN}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
