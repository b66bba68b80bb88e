"""What may be published, asked before any store: audits that passed, a release that stands.

The stores refuse the same by themselves; the gate says why in words.
"""

from pipelines.errors import PublicationGateClosed
from pipelines.publication.contract import Publication
from pipelines.publication.rows import Row
from pipelines.releases import ListedRelease, Release, list_releases, withdrawal_of_model
from pipelines.settings import Settings


def require_open_gate(publication: Publication, settings: Settings) -> None:
    """Raise unless the audit of the predictions passed and the release may be used.

    A model whose audit did not pass may have been approved by people, and by nobody else.

    Raises:
        PublicationGateClosed: it may not be published; the message says why.
    """
    release = publication.release
    if release.verdict != "pass" and release.approval.grounds != "people":
        raise gate_closed(publication, f"the audit of the model says {release.verdict}")
    if publication.audit.verdict != "pass":
        why = f"the audit of the predictions says {publication.audit.verdict}"
        raise gate_closed(publication, why)
    closed = _why_release_is_closed(release, list_releases(publication.study, settings))
    if closed is not None:
        raise gate_closed(publication, closed)


def gate_closed(publication: Publication, why: str) -> PublicationGateClosed:
    """The error for a publication that may not be."""
    return PublicationGateClosed(
        f"Nothing is published for {publication.study}: {why}.",
        where=publication.audit.audit_id,
        remedy="The previous generation stands untouched. Read the audit's report; then correct "
        "the data, train anew, or let a person reinstate what a person withdrew.",
    )


def require_no_contradiction(audit: Row, known: tuple[str, str] | None = None) -> None:
    """Raise if the store knows this audit as of another kind or with another verdict.

    Raises:
        PublicationGateClosed: it does; the gate's verdict on one evidence never changes.
    """
    if known not in (None, (audit["kind"], audit["verdict"])):
        raise PublicationGateClosed(
            f"Nothing is published for {audit['study']}: on the same evidence the store knows "
            f"this audit as of a {known[0]} with verdict {known[1]}, and it is now said to be of "
            f"a {audit['kind']} with verdict {audit['verdict']}.",
            where=str(audit["audit_id"]),
            remedy="The previous generation stands untouched. The evidence tells which verdict is "
            "the gate's; audit anew, so that the new audit has a key of its own.",
        )


def _why_release_is_closed(release: Release, listed: tuple[ListedRelease, ...]) -> str | None:
    """Scores under way when a newer release came may still be published; none after a withdrawal.

    After a withdrawal no older release comes back by itself, neither to score nor to publish.
    """
    states = {known.release.release_id: known.state for known in listed}
    state = states.get(release.release_id)
    if state == "current":
        return None
    if state != "superseded":
        return f"its release is {state or 'not in the record of releases'}"
    if "current" not in states.values():
        return "its release is superseded, and the one after it was withdrawn: none stands"
    if withdrawal_of_model(release.model_sha256, listed) is not None:
        return "its release is superseded, and its model was withdrawn under another audit"
    return None
