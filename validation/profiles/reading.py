"""Regulatory profiles: what a rule asks a report to say, as data.

A profile is a YAML file of this folder, or of any folder that a reader names. Adding one needs no
code. Texts are in our own words; the rule itself is named by its source and date.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from validation.evidence import Evidence
from validation.tasks import Task

SHIPPED = Path(__file__).parent
SECTION = "section:"
Status = Literal["measured", "declared", "owner_must_write", "not_applicable"]
Words = Annotated[str, Field(min_length=1)]


class ProfileInvalid(ValueError):
    """A profile that cannot be read or breaks the schema; the message says which and why."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Item(_Section):
    """evidence: where it comes from, each a path into evidence.json or a section of the report.

    measured: a number of the audit. declared: words of the study. Both count only where every
    path leads to something. owner_must_write: nothing here can say it. not_applicable: with why.
    """

    id: Words
    text: Words
    status: Status
    evidence: tuple[Words, ...] = ()
    because: str | None = None

    @model_validator(mode="after")
    def _says_where_it_comes_from(self) -> Self:
        backed = self.status in ("measured", "declared")
        if backed != bool(self.evidence):
            raise ValueError(
                f"item {self.id}: {self.status} {'needs' if backed else 'has no'} evidence"
            )
        if (self.status == "not_applicable") != (self.because is not None):
            raise ValueError(f"item {self.id}: `because` belongs to not_applicable and to it alone")
        for path in self.evidence:
            if not path.startswith(SECTION) and _root(path) not in Evidence.model_fields:
                raise ValueError(f"item {self.id}: evidence has no {_root(path)!r}")
        return self


class Profile(_Section):
    """source: where the rule is published. rule_date: of the text that the items were made from.

    in_force: from when and for whom, in words. tasks: studies that the rule can concern.
    """

    id: Words
    title: Words
    source: Words
    rule_date: date
    in_force: Words
    note: str | None = None
    legacy: bool = False
    tasks: tuple[Task, ...] = Field(
        default=("risk", "direction", "volatility", "quantiles"), min_length=1
    )
    items: tuple[Item, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_each_item_once(self) -> Self:
        names = [item.id for item in self.items]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"items named twice: {twice}")
        return self


def load_profiles(*folders: Path) -> tuple[Profile, ...]:
    """The profiles of these folders, of none the shipped ones; by folder, then file name.

    Raises ProfileInvalid on the first that cannot be read, and on two of one name.
    """
    found = [
        load_profile(path)
        for folder in folders or (SHIPPED,)
        for path in sorted(folder.glob("*.yaml"))
    ]
    names = [profile.id for profile in found]
    if len(set(names)) != len(names):
        raise ProfileInvalid(f"two profiles of one name among {sorted(names)}")
    return tuple(found)


def load_profile(path: Path) -> Profile:
    """One profile. Raises ProfileInvalid if it is no YAML, has a trap, or breaks the schema."""
    try:
        return Profile.model_validate(_strict_yaml(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
        raise ProfileInvalid(f"{path.name}: {error}") from error


def _strict_yaml(text: str) -> object:
    """The document; aliases (a few can stand for a billion words) and repeated keys are refused."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is not None:
        seen: set[int] = set()
        for node in _nodes(root):
            if id(node) in seen:
                raise yaml.YAMLError("an alias is not allowed")
            seen.add(id(node))
            _refuse_repeats(node)
    return yaml.safe_load(text)


def _nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    yield node
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _nodes(child)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _nodes(key)
            yield from _nodes(value)


def _refuse_repeats(node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        if len(set(map(str, keys))) != len(keys):
            raise yaml.YAMLError("a key stands twice")


def _root(path: str) -> str:
    return path.split(".")[0].split("[")[0]
