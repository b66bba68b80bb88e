"""What a check of the doctor says: a state, words without any value of a setting, a remedy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pipelines.settings import Settings

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One check's answer. remedy: empty where all is well."""

    name: str
    state: State
    words: str
    remedy: str = ""


Check = Callable[[Settings], Finding]


def worst(name: str, found: list[Finding], well: str) -> Finding:
    """Several findings as one: the worst state, the words of all that are not well."""
    for state in ("fail", "warn"):
        ill = [one for one in found if one.state == state]
        if ill:
            words = "; ".join(one.words for one in ill)
            return Finding(
                name, ill[0].state, words, " ".join(dict.fromkeys(o.remedy for o in ill))
            )
    return Finding(name, "ok", well)
