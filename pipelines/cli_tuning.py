"""``equipoise tune``: the stages of a tuning, without Airflow's scheduler."""

from typing import Annotated

import typer

from pipelines.cli_options import StudyName

app = typer.Typer()
SHOWN = 10


@app.command()
def tune(
    study: StudyName,
    trials: Annotated[
        int | None, typer.Option(min=1, help="As many in all; by default what the study says.")
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Trials that run at a time.")] = 1,
) -> None:
    """Search a study's model section; its trials are counted, and nothing changes the study.

    Ends with 28 if no trial keeps the study's constraints; the table is printed all the same.
    """
    from pipelines.tuning.conclusion import require_kept
    from pipelines.tuning.run import tune_study
    from pipelines.tuning.table import print_tuning

    chosen = tune_study(study, trials, at_once, tell=print)
    print_tuning(chosen, SHOWN)
    require_kept(study, chosen)
