"""Of what an audit may have too few to tell, and the words for it.

They are a closed set: a number that is missing for one of these reasons may be put before people,
one that is missing for any other reason closes the gate. So a reason that somebody wrote by hand,
or evidence that nobody could read, opens no way.
"""

from validation.config import AuditConfig
from validation.incumbent import NO_SUBJECT_IN_COMMON
from validation.rank_correlation import MINIMUM_INSTRUMENTS

SUBJECTS = "subjects"
POSITIVES = "positives"
NON_EVENTS = "known non-events"
SELECTED = "selected"
KNOWN = "subjects with a known label"
BLOCKS = "blocks of time"
RANKED_BLOCKS = f"{BLOCKS} with {MINIMUM_INSTRUMENTS} instruments a day"


def fewer(least: int, what: str) -> str:
    """The reason; it names the limit and never the count, which may be one to protect."""
    return f"fewer than {least} {what}"


def to_compare_with(reason: str) -> str:
    """The same of the other side: the rest, or the other model."""
    return f"{reason} to compare with"


def why_not_compared(reason: str | None, of_the_other: str | None) -> str | None:
    """Why two sides cannot be compared, from why either cannot be told; None if they can."""
    if reason is None and of_the_other is not None:
        return to_compare_with(of_the_other)
    return reason


def reasons_of_too_few(policy: AuditConfig) -> frozenset[str]:
    """Every reason by which an audit under this policy says that there was too little."""
    if policy.is_forecast:
        counted = [fewer(policy.least_blocks, what) for what in (BLOCKS, RANKED_BLOCKS)]
    else:
        least = policy.least_positives
        counted = [fewer(least, what) for what in (POSITIVES, NON_EVENTS, SELECTED, KNOWN)]
        counted.append(fewer(policy.minimum_cell_subjects, SUBJECTS))
    return frozenset([*counted, *map(to_compare_with, counted), NO_SUBJECT_IN_COMMON])
