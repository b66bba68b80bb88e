"""``equipoise doctor``, ``prune``, ``backup`` and ``restore``: what an operator does."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

MEGABYTE = 1_000_000


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Twelve checks of the installation within 5 s; ends with 50 if one fails."""
    import json

    from pipelines.console import print_table
    from pipelines.doctor.examination import as_json as in_json
    from pipelines.doctor.examination import examine
    from pipelines.errors import InstallationUnfit
    from pipelines.settings import settings

    found = examine(settings())
    if as_json:
        print(json.dumps(in_json(found), indent=1))
    else:
        print_table(("check", "state", "found"), [(o.name, o.state, o.words) for o in found])
        for one in found:
            if one.state == "fail":
                print(f"{one.name}: {one.remedy}")
    if any(one.state == "fail" for one in found):
        raise typer.Exit(InstallationUnfit.exit_code)


@app.command()
def prune(
    study: Annotated[
        str | None, typer.Argument(help="Only what this study made and no other one.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, only say it.")] = False,
    older_than_days: Annotated[
        float,
        typer.Option(help="Neither made nor used for so long; at least 1, shared 4."),
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
    if plan.unfinished:
        print(f"{len(plan.unfinished):,} files go that killed processes left in the shared store")
    is_something = bool(plan.removals or plan.unfinished)
    if is_something and not yes:
        print("Nothing was removed: say --yes to remove them.")
    elif is_something:
        print(f"removed: {carry_out(plan, store()):,} folders")


Secrets = Annotated[
    Path | None,
    typer.Option("--secrets", help="A folder of its own for keys and crosswalk; encrypt it."),
]


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder; none is ever written over.")],
    secrets: Secrets = None,
    artefacts: Annotated[
        bool, typer.Option("--artefacts/--no-artefacts", help="Copy those that are needed.")
    ] = True,
) -> None:
    """Copy records, the published tables and what they rest on; flows may go on meanwhile."""
    from pipelines.backup import back_up
    from pipelines.settings import settings
    from pipelines.stage import store

    made = back_up(folder, store(), settings(), secrets=secrets, with_artefacts=artefacts)
    kept = "no artefacts" if made.artefacts is None else f"{made.artefacts:,} artefacts"
    print(f"backup: {len(made.listed.files):,} files, {kept}, database {made.listed.database}")
    if secrets is None:
        print("Keys and crosswalk are not in it: without them no later run knows its subjects.")
    else:
        print(f"Encrypt {secrets} and keep it apart: it leads from pseudonyms back to people.")


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="What `equipoise backup` wrote.")],
    secrets: Secrets = None,
) -> None:
    """Restore a backup into an empty home and an empty database, and verify all of it."""
    from pipelines.restore import restore as restore_backup
    from pipelines.settings import settings

    done = restore_backup(folder, settings(), secrets=secrets)
    print(f"restored: the state of {done.made_at:%Y-%m-%d %H:%M} UTC, {done.artefacts:,} artefacts")
    print("whole: records, artefacts and the store are what was written")
    for path in done.left:
        print(f"not the backup's, left as it was found: {path}")
    if done.logins:
        print(f"these logins have no password yet: {', '.join(done.logins)}")
    if done.half_erased:
        print(f"erased while the backup was made: {done.half_erased:,} pairs are forgotten again")
    print("Erase again whom people asked to erase since then, and withdraw what was withdrawn.")
    for study in done.half_withdrawn:
        print(f"withdraw again: equipoise withdraw {study}")
