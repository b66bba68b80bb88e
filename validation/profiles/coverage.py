"""How much of a profile the evidence of an audit really covers."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from validation.profiles.reading import SECTION, Item, Profile
from validation.tasks import Task

# What became of an item in one audit: its status, or that what it counts on is not there.
State = Literal["measured", "declared", "missing", "owner_must_write", "not_applicable"]
_STEP = re.compile(r"(?P<name>\w+)(?P<any>\[\])?(?:\[(?P<key>\w+)=(?P<value>[^\]]+)\])?")


@dataclass(frozen=True)
class ItemCoverage:
    item: Item
    state: State
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Coverage:
    """concerns: whether the rule can concern the study; if not, nothing is counted."""

    profile: Profile
    concerns: bool
    items: tuple[ItemCoverage, ...]

    def count(self, *states: State) -> int:
        return sum(item.state in states for item in self.items)

    @property
    def asked(self) -> int:
        """Items that apply."""
        return len(self.items) - self.count("not_applicable")

    @property
    def covered(self) -> int:
        return self.count("measured", "declared")

    @property
    def share(self) -> float | None:
        """Covered over applicable items; None where the rule asks nothing of this study."""
        return self.covered / self.asked if self.concerns and self.asked else None


def coverage_of(
    profiles: Sequence[Profile], raw: dict[str, Any], sections: Collection[str]
) -> tuple[Coverage, ...]:
    """Of every profile in the evidence `raw` (evidence.json) and the report's section anchors."""
    task: Task = raw["policy"]["task"]
    return tuple(
        Coverage(
            profile=profile,
            concerns=task in profile.tasks,
            items=tuple(_item(item, raw, sections) for item in profile.items),
        )
        for profile in profiles
    )


def _item(item: Item, raw: dict[str, Any], sections: Collection[str]) -> ItemCoverage:
    if item.status not in ("measured", "declared"):
        return ItemCoverage(item, item.status)
    absent = tuple(path for path in item.evidence if not is_there(path, raw, sections))
    return ItemCoverage(item, "missing" if absent else item.status, absent)


def is_there(path: str, raw: dict[str, Any], sections: Collection[str]) -> bool:
    """Whether a path leads to something: not null, not an empty list, text or mapping.

    `populations[].overall.metrics.auroc.value`: of any element of the list;
    `data.checks[kind=leakage]`: of any element whose kind is that; `section:groups`: the report
    has that section. Raises ValueError on a path that is none.
    """
    if path.startswith(SECTION):
        return path.removeprefix(SECTION) in sections
    return _leads(raw, path.split("."))


def _leads(found: Any, steps: Sequence[str]) -> bool:
    if not steps:
        return found is not None and found not in ("", [], {})
    step = _STEP.fullmatch(steps[0])
    if step is None:
        raise ValueError(f"not a step of a path: {steps[0]!r}")
    value = found.get(step["name"]) if isinstance(found, dict) else None
    if not (step["any"] or step["key"]):
        return _leads(value, steps[1:])
    if not isinstance(value, list):
        return False
    return any(_leads(each, steps[1:]) for each in value if _matches(each, step))


def _matches(each: Any, step: re.Match[str]) -> bool:
    if step["key"] is None:
        return True
    return isinstance(each, dict) and str(each.get(step["key"])) == step["value"]
