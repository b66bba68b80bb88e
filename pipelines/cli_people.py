"""``equipoise approve``, ``reject`` and ``approvals``: people answer, and see what they were asked.

The name is what a person says of themselves; the account of the operating system is kept beside it,
and four eyes on the command line rest on accounts.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli_options import Person, Reason, StudyName, require_known

if TYPE_CHECKING:
    from pipelines.approvals.record import Decision
    from pipelines.approvals.request import ListedRequest

app = typer.Typer()

RequestName = Annotated[
    str | None, typer.Option("--request", help="Which request; the newest one if none is named.")
]


@app.command()
def approve(
    study: StudyName, reason: Reason, person: Person, request_id: RequestName = None
) -> None:
    """Approve what a study's newest audit put before people; the last approval releases."""
    from pipelines.stages.release_model import release_model

    listed = _answered(study, "approved", person, reason, request_id)
    request = listed.request
    if listed.missing:
        print(f"{listed.missing} more must approve by {request.expires_at:%Y-%m-%d %H:%M} UTC")
        return
    print(f"released: release {release_model(study, request.bound.audit_key).split('/')[-1]}")
    print(f"score and publish with it: equipoise run {study}")


@app.command()
def reject(
    study: StudyName, reason: Reason, person: Person, request_id: RequestName = None
) -> None:
    """Reject what a study's newest audit put before people: this model is not released."""
    _answered(study, "rejected", person, reason, request_id)


def _answered(
    study: str, decision: "Decision", person: str, reason: str, request_id: str | None
) -> "ListedRequest":
    from pipelines.approvals.answering import answer
    from pipelines.approvals.people import local_account
    from pipelines.publication.store import open_store
    from pipelines.settings import settings

    require_known(study)
    # Before the answer stands: the store's table of answers must be told of it.
    open_store(settings())
    listed = answer(
        study,
        decision,
        by=person,
        account=local_account(),
        reason=reason,
        through="command line",
        request_id=request_id,
    )
    request = listed.request
    print(f"{decision}: request {request.request_id} on {request.bound.audit_key}, by {person}")
    return listed


@app.command()
def approvals(
    study: Annotated[str | None, typer.Argument(help="A study; all of them if none.")] = None,
) -> None:
    """What people were asked, what they answered, until when, and what changed since."""
    from pipelines.approvals.requests import list_requests
    from pipelines.approvals.tables import COLUMNS, request_rows
    from pipelines.console import print_table
    from pipelines.study import study_names

    if study is not None:
        require_known(study)
    names = study_names() if study is None else [study]
    listed = [request for name in names for request in list_requests(name)]
    if listed:
        print_table(COLUMNS, request_rows(listed))
    else:
        print("nobody was asked for an approval")
