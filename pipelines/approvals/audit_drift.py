"""What stands beside an audit today, against what stood beside it when it was made."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from pipelines.declaration import own_words
from pipelines.incumbents import incumbent_of
from pipelines.limits_order import order_of_limits
from pipelines.study import Study

ANOTHER_STANDS = (
    "another release stands than the one that the audit compared: audit the model again"
)


def drifted(spec: Study, recipe: Mapping[str, Any]) -> list[str]:
    """What the audit would read otherwise now, in words; none if all stands as it did.

    The policy is not among it: it is bound by its own hash.

    Args:
        recipe: of the audit, as its manifest holds it.
    """
    return [*incumbent_drift(spec.name, recipe), *_own_drift(spec, recipe)]


def incumbent_drift(study: str, recipe: Mapping[str, Any]) -> list[str]:
    """Whether another model stands released now than the audit was compared with."""
    inputs, config = recipe["inputs"], recipe["config"]
    found = incumbent_of(study, inputs["model"])
    now = None if found is None else (found.predictions or "unreadable")
    compared = (config.get("incumbent"), inputs.get("previous_audit"))
    return [] if compared == (now, found and found.audit) else [ANOTHER_STANDS]


def _own_drift(spec: Study, recipe: Mapping[str, Any]) -> Iterator[str]:
    config, order = recipe["config"], order_of_limits(spec, recipe["inputs"]["predictions"])
    if config.get("mitigation") != (spec.mitigation and spec.mitigation.model_dump(mode="json")):
        yield "the study's mitigation was changed since the audit: audit the model again"
    if config.get("words") != own_words(spec):
        yield "what the study says of itself was changed since the audit: audit the model again"
    if config.get("limits_order") != (order and asdict(order)):
        yield "the record of limits and looks says otherwise now: audit the model again"
