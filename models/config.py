"""What a study may say about its network. Light: a DAG file reads a whole study without torch."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# The loss of a volatility is the squared log error and this much QLIKE: the first alone would
# have forecasts that are too low on average.
QLIKE_SHARE = 0.3


class ModelConfig(BaseModel):
    """The settings that decide the numbers of a training, and none that do not.

    Attributes:
        hidden_size: width of the LSTM's state.
        layers: LSTM layers on top of each other.
        dropout: share of the head's (and between layers the states') inputs dropped in training.
        learning_rate: AdamW's step size at the start; it falls to a tenth along a cosine.
        weight_decay: AdamW's decoupled decay of matrices (biases do not decay).
        clip_norm: gradients longer than this are shortened to it.
        max_epochs: passes over the training split at most.
        min_epochs: no earlier epoch is kept: while the loss still falls fast, a small validation
            part cannot tell a good epoch from a lucky one.
        patience_epochs: stop after this many epochs without a lower validation loss.
        tokens_per_batch: time steps of a batch, padding included.
        window_batches: batches' worth of shuffled examples that are sorted by length together.
        seeds: one network each; their raw answers (logits, for a probability) are averaged.
        window_seeds: networks per window of a resampling: the first so many of `seeds`.
        max_steps: of a longer sequence the last steps are kept.
        positive_weight: class weight of the positives; "balanced" gives both classes equal weight.
        conformal_days: quantiles are corrected by the misses of so many days before.
        threads: CPU threads of the arithmetic; another count gives other last bits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden_size: Annotated[int, Field(ge=1, le=4096)] = 32
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.05
    clip_norm: Annotated[float, Field(gt=0.0)] = 1.0
    min_epochs: Annotated[int, Field(ge=1)] = 8
    max_epochs: Annotated[int, Field(ge=1)] = 24
    patience_epochs: Annotated[int, Field(ge=1)] = 8
    tokens_per_batch: Annotated[int, Field(ge=1)] = 2048
    window_batches: Annotated[int, Field(ge=1)] = 16
    seeds: tuple[int, ...] = (0, 1, 2)
    window_seeds: Annotated[int, Field(ge=1)] = 1
    max_steps: Annotated[int, Field(ge=1)] = 256
    positive_weight: Annotated[float, Field(gt=0.0)] | Literal["balanced"] = 1.0
    conformal_days: Annotated[float, Field(gt=0.0)] = 365.0
    threads: Annotated[int, Field(ge=1)] = 1

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError("seeds must be one or more different numbers from 0 upwards")
        return seeds

    @model_validator(mode="after")
    def _windows_have_their_seeds(self) -> Self:
        if self.window_seeds > len(self.seeds):
            raise ValueError("window_seeds cannot be more than there are seeds")
        return self


class TrainingMitigation(BaseModel):
    """What a training does about groups; at most one of the two.

    Attributes:
        reweighing: training rows are weighed so that group and label are independent.
        group_robust_step: of a loss that serves the worst group: how fast groups' weights move.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reweighing: bool = False
    group_robust_step: Annotated[float, Field(gt=0.0, le=1.0)] | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if self.reweighing == (self.group_robust_step is not None):
            raise ValueError("give either reweighing or group_robust_step")
        return self
