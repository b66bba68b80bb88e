"""A comparison of models as it is kept: the table, the costs, how it was made, what to take."""

from typing import Any

from pydantic import Field

from validation.choosing import Choice
from validation.comparison import Comparison, ModelCost
from validation.estimates import Count, Record


class ComparedModel(Record):
    """differs_by: fields in which its section differs from the study's. key: of its answers."""

    cost: ModelCost
    differs_by: dict[str, Any] = Field(default_factory=dict)
    key: str | None = None


class How(Record):
    """By what all models were judged alike. most_epochs: of the study's own section."""

    folds: Count
    kind_of_folds: str
    seeds: Count
    most_epochs: Count
    sequences_key: str
    made_with: dict[str, str]


class ComparisonRecord(Record):
    """comparison.json.

    models: cost and section of each by name, in no order.
    is_choice_marked: somebody asked what `auto` would take.
    not_tried: sections that were left out, and why.
    is_mitigation_left_out: the study trains with a mitigation, and these networks without.
    """

    study: str
    title: str
    comparison: Comparison
    models: dict[str, ComparedModel]
    choice: Choice | None
    is_choice_marked: bool
    not_tried: tuple[str, ...] = ()
    is_mitigation_left_out: bool = False
    how: How
