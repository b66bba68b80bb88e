"""What several commands take, and a study that they must know."""

from typing import Annotated

import typer

StudyName = Annotated[str, typer.Argument(help="A study: the name of its YAML file.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is recorded and shown.")]
Person = Annotated[str, typer.Option("--as", help="Who decides; it is recorded and shown.")]


def require_known(study: str) -> None:
    """A study that has a YAML file; otherwise the error that lists those there are."""
    from pipelines.study import load_study, study_names

    if study not in study_names():
        load_study(study)
