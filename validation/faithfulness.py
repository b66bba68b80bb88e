"""Is an explanation faithful to the model it explains? Numbers in, verdict out; fails closed.

What was not measured is no pass: an explanation of which nobody could tell is not published.
"""

from collections.abc import Mapping
from typing import Any, Final

from validation.estimates import Record, VerdictName

FEWEST_SUBJECTS: Final = 30
# A guess has 0; an explanation that does not look at the weights has nearly 1.
MOST_REDRAWN_CORRELATION: Final = 0.3
# Redrawn networks raise or lower by chance, so signs hide an order that the data alone make: such
# an order of sizes has 1. Sizes of one subject's data times those of two unrelated networks
# correlate by the data's share of the spread: at half of it the weights no longer decide most.
MOST_REDRAWN_SIZE_CORRELATION: Final = 0.5
MOST_ADDITIVITY_ERROR: Final = 1e-3
# Rows that do not add up get no reasons; where they are many, what is said of the others is luck.
MOST_NOT_ADDING_UP_SHARE: Final = 0.01


class FaithfulnessLine(Record):
    """One property that an explanation must have. found is null where it was not measured."""

    line: str
    found: float | None
    limit: str
    verdict: VerdictName


class FaithfulnessVerdict(Record):
    """The verdict on one method; `pass` only if every line passes."""

    method: str
    verdict: VerdictName
    lines: tuple[FaithfulnessLine, ...]

    @property
    def is_faithful(self) -> bool:
        return self.verdict == "pass"


def judge_faithfulness(measured: Mapping[str, Any]) -> FaithfulnessVerdict:
    """The verdict on what models/explanations/faithfulness.py measured.

    Args:
        measured: method, adds_up, subjects, comprehensiveness_gain_low, sufficiency_gain_low,
            redrawn_correlation, redrawn_size_correlation, additivity_error and, of the very rows
            that are explained, not_adding_up_share; what is missing or null cannot be told.
    """
    subjects = _number(measured, "subjects")
    correlation = _number(measured, "redrawn_correlation")
    of_sizes = _number(measured, "redrawn_size_correlation")
    lines = [
        _line(
            "Subjects it was measured on",
            subjects,
            f"at least {FEWEST_SUBJECTS}",
            subjects is not None and subjects >= FEWEST_SUBJECTS,
        ),
        _above_zero(
            "The answer falls further without what it puts first than in random order",
            _number(measured, "comprehensiveness_gain_low"),
        ),
        _above_zero(
            "The answer falls less with only what it puts first than in random order",
            _number(measured, "sufficiency_gain_low"),
        ),
        _line(
            "Rank correlation with what redrawn weights get",
            correlation,
            f"at most {MOST_REDRAWN_CORRELATION} either way",
            correlation is not None and abs(correlation) <= MOST_REDRAWN_CORRELATION,
        ),
        _line(
            "Rank correlation of sizes with what redrawn weights get",
            of_sizes,
            f"at most {MOST_REDRAWN_SIZE_CORRELATION}",
            of_sizes is not None and of_sizes <= MOST_REDRAWN_SIZE_CORRELATION,
        ),
    ]
    # Whoever does not say whether a method adds up has promised that it does.
    if measured.get("adds_up") is not False:
        lines += _adding_up(measured)
    return FaithfulnessVerdict(
        method=str(measured.get("method", "unknown")), verdict=_worst(lines), lines=tuple(lines)
    )


def adds_up(missing: float, answer_range: float | None) -> bool:
    """Whether one subject's contributions account for its answer.

    Args:
        missing: answer - reference - sum of the contributions.
        answer_range: of the answers on which faithfulness was measured; None where it was not.
    """
    return answer_range is not None and abs(missing) <= MOST_ADDITIVITY_ERROR * answer_range


def _adding_up(measured: Mapping[str, Any]) -> list[FaithfulnessLine]:
    error = _number(measured, "additivity_error")
    share = _number(measured, "not_adding_up_share")
    return [
        _line(
            "Contributions add up: largest error by the range of answers",
            error,
            f"at most {MOST_ADDITIVITY_ERROR}",
            error is not None and 0 <= error <= MOST_ADDITIVITY_ERROR,
        ),
        _line(
            "Scored rows whose contributions do not add up so, and have no reasons: their share",
            share,
            f"at most {MOST_NOT_ADDING_UP_SHARE}",
            share is not None and 0 <= share <= MOST_NOT_ADDING_UP_SHARE,
        ),
    ]


def _above_zero(line: str, found: float | None) -> FaithfulnessLine:
    return _line(f"{line}: lower 95 % bound of the gain", found, "above 0", (found or 0.0) > 0)


def _line(line: str, found: float | None, limit: str, holds: bool) -> FaithfulnessLine:
    verdict: VerdictName = "cannot_tell" if found is None else "pass" if holds else "fail"
    return FaithfulnessLine(line=line, found=found, limit=limit, verdict=verdict)


def _worst(lines: list[FaithfulnessLine]) -> VerdictName:
    verdicts = {line.verdict for line in lines}
    return "fail" if "fail" in verdicts else "pass" if verdicts == {"pass"} else "cannot_tell"


def _number(measured: Mapping[str, Any], name: str) -> float | None:
    """What is no finite number was not measured."""
    value = measured.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < float("inf") else None
