"""``equipoise why``: the page of one subject."""

from typing import Annotated

import typer

from pipelines.cli_options import StudyName, require_known
from pipelines.cli_store import FROM_INPUT, from_input

app = typer.Typer()


@app.command()
def why(
    study: StudyName,
    subject: Annotated[str, typer.Argument(help="As the tables name it: subject_id.")],
    source_id: Annotated[
        bool,
        typer.Option("--source-id", help="SUBJECT is the source's own id, `-`: from the input."),
    ] = False,
    show_it: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")] = False,
) -> None:
    """Write the page of one subject: what moved its score, when, and how far to believe it."""
    require_known(study)
    from pipelines.errors import SubjectUnknown
    from pipelines.reasons import subject_of, write_page

    # Python itself refuses to read thousands of digits, and no table holds more than 19.
    if not source_id and not (subject.isdecimal() and len(subject) <= 19):
        raise SubjectUnknown(
            "A subject is a whole number, as the tables have it.",
            where="the argument SUBJECT",
            remedy="Take a subject_id of the table, or add --source-id.",
        )
    # The arguments of a process can be read by everybody on the machine.
    wanted = from_input() if source_id and subject == FROM_INPUT else subject
    file = write_page(study, subject_of(study, wanted) if source_id else int(subject))
    print(file)
    if show_it:
        import webbrowser

        webbrowser.open(file.as_uri())
