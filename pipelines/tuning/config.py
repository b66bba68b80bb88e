"""What a study may say about its tuning. Light: a DAG file reads it without Optuna.

The parameters are fields of the study's `model` section by their dotted names
(`learning_rate`, `encoder.kind`), so whatever a study can state can be tuned.
"""

import math
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from models.config import ModelConfig
from models.encoders.registry import ENCODERS
from validation.config import AuditConfig
from validation.tasks import MetricName, metric_names

# The luckiest seed is no better model, and threads decide nothing but the last bits.
NOT_TUNED = frozenset({"seeds", "window_seeds", "threads"})
KIND = "encoder.kind"
MOST_TRIALS = 10_000

Scalar = str | int | float | bool | None
Parameters = dict[str, Scalar]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Section):
    """From `low` to `high`, both included; in steps, or evenly on a logarithmic scale."""

    low: int | float
    high: int | float
    log: bool = False
    step: Annotated[int | float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.log and (self.step is not None or self.low <= 0):
            raise ValueError("a logarithmic range begins above 0 and has no step")
        return self

    def points(self) -> list[Scalar]:
        """Every value of a range in steps."""
        if self.step is None:
            raise ValueError("a range without a step has no list of values")
        steps = math.floor((self.high - self.low) / self.step + 1e-9)
        return [self.low + number * self.step for number in range(steps + 1)]


class Choices(_Section):
    """One of these. In YAML a plain list will do: `[lstm, gru]`."""

    choices: Annotated[tuple[Scalar, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _a_list_will_do(cls, section: Any) -> Any:
        return {"choices": section} if isinstance(section, list) else section

    @field_validator("choices")
    @classmethod
    def _choices_differ(cls, choices: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        if len({(type(choice), choice) for choice in choices}) != len(choices):
            raise ValueError("a choice stands there twice")
        return choices

    def points(self) -> list[Scalar]:
        return list(self.choices)


Parameter = Choices | Range


class GroupGap(_Section):
    """The greatest difference of a metric between two levels of an attribute that a trial may have.

    Levels that hold too few for the study's audit to tell are not compared.
    """

    metric: MetricName
    attribute: str
    at_most: Annotated[float, Field(gt=0)]

    @property
    def name(self) -> str:
        return f"gap in {self.metric} by {self.attribute}"


class TuningConstraints(_Section):
    """What a chosen model must keep; a trial that breaks one is best only if none keeps all.

    observed_expected: least and most of observed over expected events, of risks and directions.
    """

    observed_expected: tuple[float, float] | None = None
    group_gaps: tuple[GroupGap, ...] = ()

    @field_validator("observed_expected")
    @classmethod
    def _is_around_one(cls, bounds: tuple[float, float] | None) -> tuple[float, float] | None:
        if bounds is not None and not 0 < bounds[0] < 1 < bounds[1]:
            raise ValueError("give a number below 1 and one above it")
        return bounds


class TuningSection(_Section):
    """How the `model` section is searched; the study's own section fills what is not searched.

    Attributes:
        sampler: who proposes: every combination, chance, the tree-structured Parzen estimator, or
            a Gaussian process.
        trials: how many are tried; of a grid at most its combinations.
        seed: of the proposals. Trials that run one after another repeat; of those that run at a
            time, what each may know of the others depends on the clock.
        pruner: who stops a trial early by its validation losses: nobody, the median of the
            others, or (successive halving, hyperband) all but the best third at each rung.
        prune_from_epoch: no trial is stopped before this epoch.
        networks_per_fold: the first so many of the model's seeds; the study has no fewer.
        parameters: what is searched, by dotted name.
    """

    sampler: Literal["grid", "random", "tpe", "gp"] = "tpe"
    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] = 40
    seed: Annotated[int, Field(ge=0)] = 0
    pruner: Literal["none", "median", "successive_halving", "hyperband"] = "none"
    prune_from_epoch: Annotated[int, Field(ge=1)] = 4
    networks_per_fold: Annotated[int, Field(ge=1)] = 1
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]
    constraints: TuningConstraints = TuningConstraints()

    @field_validator("parameters")
    @classmethod
    def _are_settings_of_a_model(cls, given: dict[str, Parameter]) -> dict[str, Parameter]:
        return {name: _of_model(name, parameter) for name, parameter in given.items()}

    @model_validator(mode="after")
    def _a_grid_is_finite(self) -> Self:
        if self.sampler == "grid":
            for name, parameter in self.parameters.items():
                if isinstance(parameter, Range) and parameter.step is None:
                    raise ValueError(f"parameters.{name}: a grid needs choices, or a step")
            if self.combinations > MOST_TRIALS:
                raise ValueError(f"the grid has more than {MOST_TRIALS:,} combinations")
        return self

    @property
    def combinations(self) -> int:
        """Of a grid."""
        return math.prod(len(parameter.points()) for parameter in self.parameters.values())

    def numbers(self, trials: int | None = None) -> list[int]:
        """The trials' numbers from 1; of a grid no more than it has combinations.

        Args:
            trials: another count than the section's.
        """
        wanted = self.trials if trials is None else trials
        most = self.combinations if self.sampler == "grid" else wanted
        return list(range(1, min(wanted, most) + 1))

    def grid(self) -> list[Parameters]:
        """Every combination."""
        points = [parameter.points() for parameter in self.parameters.values()]
        return [dict(zip(self.parameters, chosen, strict=True)) for chosen in product(*points)]


def tuned(base: ModelConfig, parameters: Parameters) -> ModelConfig:
    """The model section with these values in it.

    What the chosen kind of encoder has no use for is left at its default: a kernel's size decides
    nothing of an LSTM.

    Raises:
        pydantic.ValidationError: no such model can be.
    """
    section = base.model_dump(mode="json")
    for name, value in parameters.items():
        *groups, field = name.split(".")
        inner = section
        for group in groups:
            inner = inner[group]
        inner[field] = value
    kind = section["encoder"]["kind"]
    useful = ENCODERS[kind].options if kind in ENCODERS else frozenset(section["encoder"])
    section["encoder"] = {
        name: value
        for name, value in section["encoder"].items()
        if name == "kind" or name in useful
    }
    return ModelConfig.model_validate(section)


def require_measurable(policy: AuditConfig, constraints: TuningConstraints) -> None:
    """Constraints that the study's audit knows how to measure.

    Raises:
        ValueError: an attribute or a metric that its audit has not.
    """
    place = "tuning.constraints"
    for gap in constraints.group_gaps:
        if gap.attribute not in policy.attributes:
            raise ValueError(f"{place}: {gap.attribute!r} is none of audit.attributes")
        if gap.metric not in metric_names(policy.task):
            raise ValueError(f"{place}: task {policy.task} has no metric {gap.metric}")
    if constraints.observed_expected is not None and policy.is_forecast:
        raise ValueError(f"{place}: task {policy.task} expects no events")


def is_whole_number(name: str) -> bool:
    """Whether a setting is counted."""
    return _setting(name)[0] is int


def _of_model(name: str, parameter: Parameter) -> Parameter:
    """The parameter, its values as the setting reads them.

    Raises:
        ValueError: no such setting, or a value that it cannot have.
    """
    if name.split(".")[0] in NOT_TUNED:
        raise ValueError(f"{name} is not searched: it decides no model, or only luck")
    annotation, adapter = _setting(name)
    try:
        if isinstance(parameter, Choices):
            chosen = tuple(adapter.validate_python(choice) for choice in parameter.choices)
            return Choices(choices=chosen)
        low, high = (adapter.validate_python(end) for end in (parameter.low, parameter.high))
    except ValidationError as error:
        raise ValueError(f"{name}: {error.errors()[0]['msg']}") from None
    if annotation not in (int, float):
        raise ValueError(f"{name} is no number: give choices")
    step = None if parameter.step is None else annotation(parameter.step)
    if step == 0 or (annotation is int and step is not None and step != parameter.step):
        raise ValueError(f"{name} is a whole number, and so is its step")
    return Range(low=low, high=high, log=parameter.log, step=step)


def _setting(name: str) -> tuple[type | None, TypeAdapter[Any]]:
    """A setting's type, None if it is no plain one, and what reads its values."""
    section: type[BaseModel] = ModelConfig
    *groups, field = name.split(".")
    for group in groups:
        found = section.model_fields.get(group)
        inner = found.annotation if found else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            raise ValueError(f"{name}: a model section has no {group} with settings of its own")
        section = inner
    if field not in section.model_fields:
        raise ValueError(f"{name}: a model section has no such setting")
    info = section.model_fields[field]
    allowed: Any = Annotated[info.annotation, *info.metadata, None]
    if name == KIND:
        allowed = Literal[tuple(ENCODERS)]
    adapter: TypeAdapter[Any] = TypeAdapter(allowed)
    return info.annotation if isinstance(info.annotation, type) else None, adapter


def plain(section: TuningSection) -> JsonValue:
    """All but the number of trials: asking for more goes on with those there are."""
    found: JsonValue = section.model_dump(mode="json", exclude={"trials"})
    return found
