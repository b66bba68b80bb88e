"""Requests for approval as rows of text."""

from collections.abc import Sequence

from pipelines.approvals.request import ListedRequest

COLUMNS = ("study", "request", "state", "verdict", "asked (UTC)", "until (UTC)", "answers", "why")


def request_rows(listed: Sequence[ListedRequest]) -> list[tuple[str, ...]]:
    """One row per request, in the columns of ``COLUMNS``."""
    return [_row(each) for each in listed]


def _row(listed: ListedRequest) -> tuple[str, ...]:
    request = listed.request
    return (
        request.bound.study,
        request.request_id,
        listed.state,
        request.bound.verdict,
        f"{request.requested_at:%Y-%m-%d %H:%M}",
        f"{request.expires_at:%Y-%m-%d %H:%M}",
        answers_in_words(listed),
        listed.why or "; ".join(request.reasons) or "the study asks people",
    )


def answers_in_words(listed: ListedRequest) -> str:
    """Who answered what and why, and how many are missing."""
    said = [f"{each.by} {each.decision}: {each.words}" for each in listed.answers]
    said += [f"{each.by} refused: {each.why}" for each in listed.refused]
    if listed.state == "waiting":
        said.append(f"{listed.missing} missing")
    return "; ".join(said)
