"""What the trial ledger says of a choice among many, in words."""

from validation.overfitting import OverfittingEvidence
from validation.report.formatting import percent

BROKEN = (
    "The chain of the trial ledger is broken: an entry is missing or was changed. How often "
    "something was tried is not known, and the gate is closed."
)
NOBODY = "Nobody said how many trials were looked at."


def trials_in_short(found: OverfittingEvidence | None) -> str:
    """For the first page: how many were tried, and what is left of the skill after that."""
    if found is None:
        return NOBODY
    if not found.chain_is_whole:
        return BROKEN
    count = found.trials or 0
    tried = "1 trial was looked at" if count == 1 else f"{count:,} trials were looked at"
    return f"{tried}. {_luck(found, count)} {_choice(found)}"


def _luck(found: OverfittingEvidence, count: int) -> str:
    if found.deflated_sharpe is None:
        return f"Whether the skill is more than luck cannot be told: {found.reason}."
    chosen = "chance alone" if count == 1 else f"the luckiest of {count:,}"
    return (
        f"The skill over the reference is more than {chosen} would show with a probability of "
        f"{likelihood(found.deflated_sharpe)}."
    )


def _choice(found: OverfittingEvidence) -> str:
    if found.pbo is None:
        return f"Whether the choice among trials lasts cannot be told: {found.pbo_reason}."
    return (
        f"PBO is {likelihood(found.pbo)}: so often the best of one half of the time fell behind "
        "the middle one in the other; a guess has 50 %."
    )


def likelihood(probability: float) -> str:
    """A probability as a share of a hundred that is never rounded to certainty."""
    if probability < 0.0005:
        return "less than 0.1 %"
    if probability >= 0.9995:
        return "more than 99.9 %"
    return percent(probability, 1.0)
