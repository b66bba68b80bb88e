"""``equipoise doctor``, ``prune``, ``backup`` and ``restore``: what an operator does."""

from typing import Annotated

import typer

app = typer.Typer()

MEGABYTE = 1_000_000


@app.command()
def prune(
    study: Annotated[
        str | None, typer.Argument(help="Only what this study made and no other one.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, only say it.")] = False,
    older_than_days: Annotated[
        float, typer.Option(help="Neither made nor used for so long; at least 1.")
    ] = 7.0,
) -> None:
    """Remove artefacts that nothing rests on; without --yes only say which and how much."""
    from pipelines.console import print_table
    from pipelines.prune import carry_out, plan_prune, rows_of
    from pipelines.settings import settings
    from pipelines.stage import store

    plan = plan_prune(store(), settings(), study=study, older_than_days=older_than_days)
    if plan.removals:
        print_table(("what", "folders", "MB"), rows_of(plan))
    size = f"{plan.size_bytes / MEGABYTE:,.1f} MB"
    if plan.shared_bytes:
        size += f" here, {plan.shared_bytes / MEGABYTE:,.1f} MB in the shared store"
    print(f"{plan.kept:,} artefacts stay; {len(plan.removals):,} folders go: {size}")
    if plan.removals and not yes:
        print("Nothing was removed: say --yes to remove them.")
    elif plan.removals:
        print(f"removed: {carry_out(plan, store()):,} folders")
