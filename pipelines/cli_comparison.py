"""``equipoise compare``: several models of one study, side by side."""

import webbrowser
from typing import Annotated

import typer

from pipelines.cli_options import StudyName, require_known

app = typer.Typer()


@app.command()
def compare(
    study: StudyName,
    models: Annotated[
        str,
        typer.Option(
            "--models",
            help="Names with commas between them: encoders, study, auto; gru+decay; "
            "lstm:hidden_size=64.",
        ),
    ] = "lstm,gru,rnn,tcn,cnn_lstm,attention,auto",
    seeds: Annotated[
        str, typer.Option("--seeds", help="Networks per fold of each model: their seeds.")
    ] = "0",
    show_it: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Name the record for programs.")] = False,
) -> None:
    """Compare models by the same folds and seeds; one table and one plot, its path is printed."""
    require_known(study)
    from pipelines.comparison.compare import PAGE, RECORD, compare_study
    from pipelines.comparison.printed import print_comparison
    from pipelines.comparison.sections import seeds_of

    made = compare_study(study, [name.strip() for name in models.split(",")], seeds_of(seeds))
    print_comparison(made.path / RECORD)
    page = made.path / (RECORD if as_json else PAGE)
    print(page)
    if show_it and not as_json:
        webbrowser.open(page.as_uri())
