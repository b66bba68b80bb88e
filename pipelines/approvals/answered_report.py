"""The report of an audit with what people were asked and answered about it.

The artefact's own report is among the bytes that people answered about, so it stays as it is;
the answers stand in a copy beside the artefacts.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from pipelines.approvals.request import ListedRequest
from pipelines.approvals.requests import approvals_of
from pipelines.durable import PRIVATE_FILE_MODE, private_folder, rename_into_place
from pipelines.errors import ArtefactCorrupt, PdfMissing
from pipelines.settings import settings
from pipelines.stage import store

BEFORE_THE_FIRST_SECTION = "<main>\n"


def report_with_answers(audit: str) -> Path:
    """The report's path: of the copy with the answers, or of the report itself if nobody was asked.

    Raises:
        ArtefactCorrupt: a file of the audit is not the one that was written.
    """
    listed = approvals_of(audit)
    if not listed:
        return store().open(audit) / "report.html"
    text = (store().open(audit) / "report.html").read_text(encoding="utf-8")
    section = "\n".join(_section(listed))
    answered = text.replace(BEFORE_THE_FIRST_SECTION, f"{BEFORE_THE_FIRST_SECTION}{section}\n", 1)
    return _written(audit, ".html", answered.encode())


def pdf_with_answers(audit: str) -> Path:
    """The path of the same report as PDF, beside the artefacts.

    Raises:
        PdfMissing: WeasyPrint or a library that it needs is not installed.
        ArtefactCorrupt: a file of the audit is not the one that was written, or it asks for an
            address, which no report does.
    """
    from validation.report.pdf import ForeignAddress, PdfUnavailable, render_pdf

    page = report_with_answers(audit)
    try:
        printed = render_pdf(page.read_text(encoding="utf-8"))
    except PdfUnavailable as missing:
        raise PdfMissing(missing.cause, where=str(page), remedy=missing.remedy) from None
    except ForeignAddress:
        raise ArtefactCorrupt(
            "The report asks for an address: it is not the one that was written.",
            where=str(page),
            remedy="Remove the artefact of audit_model and run the study again.",
        ) from None
    return _written(audit, ".pdf", printed)


def _written(audit: str, ending: str, content: bytes) -> Path:
    file = settings().reports_dir / f"{audit.replace('/', '-')}{ending}"
    private_folder(file.parent)
    draft = file.with_suffix(f"{ending}.draft")
    draft.write_bytes(content)
    rename_into_place(draft, file, PRIVATE_FILE_MODE)
    return file


def _section(listed: tuple[ListedRequest, ...]) -> Iterator[str]:
    yield '<section id="approval" aria-labelledby="approval-title">'
    yield '<h2 id="approval-title">What people were asked and answered</h2>'
    for one in listed:
        yield f"<p>{escape(_asked(one))}</p>"
        answers = list(_answers(one))
        if answers:
            yield "<ul>"
            yield from (f"<li>{escape(words)}</li>" for words in answers)
            yield "</ul>"
    yield "</section>"


def _asked(one: ListedRequest) -> str:
    request = one.request
    why = f" ({one.why})" if one.state == "void" else ""
    return (
        f"Request {request.request_id} of {request.requested_at:%Y-%m-%d %H:%M} UTC, until "
        f"{request.expires_at:%Y-%m-%d %H:%M} UTC, is {one.state}{why}. "
        f"{request.trained_by} started the training."
    )


def _answers(one: ListedRequest) -> Iterator[str]:
    for said in one.answers:
        yield f"{said.by} {said.decision} it on {said.at:%Y-%m-%d %H:%M} UTC: {said.words}"
    for refused in one.refused:
        yield f"The answer of {refused.by} did not count: {refused.why}"
