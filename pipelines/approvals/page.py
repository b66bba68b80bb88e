"""What people read before they answer: the verdict, its reasons, and the bytes it is about.

Markdown for a page that others render: every word that a source or a study could have chosen is
escaped, so that a group's name is no heading, link or script.
"""

import re
from collections.abc import Iterator

from pipelines.approvals.request import ApprovalRequest, ListedRequest
from pipelines.errors import ArtefactCorrupt
from pipelines.releases import Release, list_releases
from pipelines.stage import store
from validation.disclosure.view import for_readers
from validation.evidence import Evidence, LineVerdict, load_evidence

SUBJECT = re.compile(r"\(request ([0-9a-f]{16})\)$")
# What a page turns into a link without being told to; a space in it is enough to stop that.
ADDRESS = re.compile(r":(?=//)|\bwww(?=\.)|@", re.IGNORECASE)
SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~>$-])")


def subject_of(request: ApprovalRequest) -> str:
    """One line that names the request, so that an answer names what it answers."""
    return f"Release the model of {request.bound.study}? (request {request.request_id})"


def request_in(subject: str) -> str | None:
    """The request that a subject names."""
    found = SUBJECT.search(subject)
    return found.group(1) if found else None


def page_of(listed: ListedRequest) -> str:
    """The page in markdown.

    Raises:
        ArtefactCorrupt: a file of the audit is not the one that was written.
    """
    return "\n".join(_lines(listed)) + "\n"


def _lines(listed: ListedRequest) -> Iterator[str]:
    request = listed.request
    bound = request.bound
    folder = store().open(bound.audit_key)
    evidence = for_readers(load_evidence(folder / "evidence.json"))
    yield f"## {_plain(evidence.study)}: {bound.verdict.replace('_', ' ')}"
    yield ""
    yield "The gate does not decide this by itself:"
    yield ""
    yield from (f"- {_plain(reason)}" for reason in request.reasons or ("the study asks people",))
    yield ""
    yield from _how(listed)
    yield ""
    yield "### Lines of the gate, and what the last release showed"
    yield ""
    yield from _table(evidence, _last(bound.study))
    yield ""
    yield "### What an answer is bound to"
    yield ""
    for name, value in _bytes(request):
        yield f"- {name}: `{value}`"
    yield ""
    yield f"Report: `{folder / 'report.html'}`"


def _how(listed: ListedRequest) -> Iterator[str]:
    request = listed.request
    people = "person" if listed.missing == 1 else "different people"
    yield (
        f"{listed.missing} more {people} must approve before "
        f"{request.expires_at:%Y-%m-%d %H:%M} UTC; one rejection rejects. "
        "A reason is required either way. Once a byte named below has changed, no answer counts."
    )
    if not request.trainer_may_approve:
        yield ""
        yield f"{_plain(request.trained_by)} started the training and cannot approve it."
    for said in listed.answers:
        yield ""
        yield f"{_plain(said.by)} {said.decision} it: {_plain(said.words)}"
    for refused in listed.refused:
        yield ""
        yield f"The answer of {_plain(refused.by)} did not count: {_plain(refused.why)}."


def _table(evidence: Evidence, before: Evidence | None) -> Iterator[str]:
    old = {line.line: line for line in (before.gate.lines if before and before.gate else ())}
    yield "| line | verdict | now | last release |"
    yield "|---|---|---|---|"
    for line in evidence.gate.lines if evidence.gate else ():
        known = old.get(line.line)
        yield (
            f"| {_plain(line.line)} | {line.verdict.replace('_', ' ')} | {_plain(line.words)} | "
            f"{_plain(known.words) if known else 'not judged'}{_moved(line, known)} |"
        )


def _moved(line: LineVerdict, known: LineVerdict | None) -> str:
    now, then = line.estimate.value, known.estimate.value if known else None
    return "" if now is None or then is None else f" (change {now - then:+.3f})"


def _last(study: str) -> Evidence | None:
    """The evidence of the newest release, if it is still there and can be read."""
    listed = list_releases(study)
    if not listed:
        return None
    newest: Release = max(listed, key=lambda each: each.at).release
    try:
        return for_readers(load_evidence(store().open(newest.audit_key) / "evidence.json"))
    except (ArtefactCorrupt, OSError, ValueError):
        return None


def _bytes(request: ApprovalRequest) -> Iterator[tuple[str, str]]:
    bound = request.bound
    yield "audit", bound.audit_key
    yield "evidence sha256", bound.evidence_sha256
    yield "model", bound.model_key
    yield "model sha256", bound.model_sha256
    yield "data sha256", bound.data_sha256
    yield "policy sha256", bound.policy_sha256
    yield "request", request.request_id


def _plain(text: str) -> str:
    """Text that markdown and HTML leave as it is, on one line; an address in it is no link."""
    one_line = ADDRESS.sub(r"\g<0> ", " ".join(text.split()))
    one_line = one_line.replace("&", "&amp;").replace("<", "&lt;")
    return SPECIAL.sub(r"\\\1", one_line)
