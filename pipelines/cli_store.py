"""``equipoise erase``, ``verify`` and ``database setup``: what is done to the store itself."""

import sys
from getpass import getpass
from typing import Annotated

import typer

from pipelines.cli_options import Person, StudyName

app = typer.Typer()
database = typer.Typer(help="The PostgreSQL that EQUIPOISE_DATABASE_URL names.")
FROM_INPUT = "-"

SourceId = Annotated[
    str,
    typer.Argument(help="As the source writes it; `-` reads it from the input, past the shell."),
]
Ground = Annotated[str, typer.Option("--ground", help="The law or letter; kept for good.")]


@app.command()
def erase(study: StudyName, source_id: SourceId, ground: Ground, person: Person) -> None:
    """Erase a person from what a study published; what still holds them is named."""
    from pipelines.publication.erasure import erase as erase_subject
    from pipelines.releases import require_study_name
    from pipelines.settings import settings

    # A study whose YAML is gone may have published; a person's right outlives it.
    require_study_name(study)
    wanted = from_input() if source_id == FROM_INPUT else source_id
    receipt = erase_subject(study, wanted, ground, person, settings())
    print(f"erased: {receipt.rows:,} rows of {receipt.study}")
    for key in receipt.held_by:
        print(f"still held by artefact {key}: remove it and run the study again")
    for place in receipt.unread:
        print(f"could not be looked into: {place}: look there, or remove it")


def from_input() -> str:
    """An id that is neither shown nor kept by a shell."""
    return (getpass("source id: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()


@app.command()
def verify() -> None:
    """Compare the store with its chain of events; fails if anything was changed past it."""
    from pipelines.errors import ArtefactCorrupt
    from pipelines.publication.store import open_store
    from pipelines.settings import settings

    found = open_store(settings()).verify()
    if found:
        raise ArtefactCorrupt(
            "The store is not what its chain of events tells:\n"
            + "\n".join(f"  {words}" for words in found),
            where=str(settings().publication_dir),
            remedy="Find out who wrote past it; then restore it from the backup.",
        )
    print("whole: the store holds what its chain of events tells")


@database.command("setup")
def set_up() -> None:
    """Make roles, tables and guards, once, by a login that may; logins are made by hand."""
    from pipelines.publication.postgres_setup import main

    main()
