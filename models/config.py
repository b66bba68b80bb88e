"""What a study may say about its network. Light: a DAG file reads a whole study without torch."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.encoders.registry import ENCODERS

# The loss of a volatility is the squared log error and this much QLIKE: the first alone would
# have forecasts that are too low on average.
QLIKE_SHARE = 0.3


Scaling = Literal["standard", "robust", "quantile", "log", "none"]
Precision = Literal["auto", "float32", "bfloat16"]


class EncoderConfig(BaseModel):
    """How a sequence is read. In YAML the kind alone will do: `encoder: gru`.

    Attributes:
        kind: one of models/encoders/registry.py.
        bidirectional: reads from both ends; only where one prediction is made of the whole.
        decay: what was seen long ago counts less (GRU-D, Che et al. 2018): unobserved values move
            from the last one to the middle that they are scaled by, and the state fades with the
            time between steps.
        recurrent_dropout: share of the state that the gates do not see in training, the same at
            all steps of a sequence (Gal & Ghahramani 2016).
        kernel_size: time steps that a convolution sees, itself and those before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "lstm"
    bidirectional: bool = False
    decay: bool = False
    recurrent_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    kernel_size: Annotated[int, Field(ge=2, le=64)] = 3

    @model_validator(mode="before")
    @classmethod
    def _a_kind_alone_will_do(cls, section: Any) -> Any:
        return {"kind": section} if isinstance(section, str) else section

    @model_validator(mode="after")
    def _knows_its_options(self) -> Self:
        if self.kind not in ENCODERS:
            raise ValueError(f"kind: expected one of {', '.join(ENCODERS)}")
        given = {
            name
            for name, field in type(self).model_fields.items()
            if name != "kind" and getattr(self, name) != field.default
        }
        if unknown := sorted(given - ENCODERS[self.kind].options):
            raise ValueError(f"an encoder of kind {self.kind} has no {' and no '.join(unknown)}")
        return self


class Pretraining(BaseModel):
    """What the encoder learns before the outcome: to foresee the next time step.

    Attributes:
        objective: the set of codes of the next step, or its values.
        epochs: passes over the training split.
        learning_rate: AdamW's step size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Literal["next_events", "next_values"] = "next_events"
    epochs: Annotated[int, Field(ge=1)] = 10
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-2


class ModelConfig(BaseModel):
    """The settings that decide the numbers of a training, and none that do not.

    Attributes:
        encoder: how a sequence is read.
        head: "direct" answers for the whole horizon; "hazard" for each of `hazard_bins` parts of
            it, so that whoever was lost to follow-up counts for as long as they were seen.
        hazard_bins: parts of the horizon that a hazard is given for.
        other_labels_share: times the other outcomes' loss, in which each example whose label is
            known counts once, and 1 minus it times the study's own, in which examples weigh by
            censoring and class; where those weights are far from 1 on average, so is what each
            has of the sum from these shares.
        pretraining: what the encoder learns first, if anything.
        scaling: how numbers are made comparable, fitted on the training split.
        hidden_size: width of the encoder's state.
        layers: of the encoder, on top of each other.
        dropout: share of the head's (and between layers the states') inputs dropped in training;
            of a sequence's states the same ones at all steps.
        learning_rate: AdamW's step size at the start.
        schedule: how it goes on: along half a cosine to a tenth, or as it is.
        warmup_epochs: epochs in which it first rises from a tenth.
        weight_decay: AdamW's decoupled decay of matrices (biases do not decay).
        l2_penalty: times the squared matrices, added to the loss; the coupled kin of the decay.
        clip_norm: gradients longer than this are shortened to it.
        clip_value: each number of a gradient is cut to this size first, if given.
        focal_gamma: examples that are right already count less (Lin et al. 2017); 0 for not.
        precision: of the encoder's arithmetic; "auto" is bfloat16 on a GPU and float32 elsewhere.
        accumulate_batches: batches whose gradients are added up for one step.
        truncate_steps: the gradient goes so many time steps back and no further; what lies before
            is still read. None for all of them.
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
        conformal_rate: how fast the levels asked for follow what is missed all the same; 0 for not.
        conformal_by: a static feature whose values are corrected by their own misses, if any.
        dropout_draws: answers with the head's dropout left on, whose spread is told; 0 for none.
        together_with: challengers whose raw answers are averaged with the networks'.
        threads: CPU threads of the arithmetic; another count gives other last bits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: EncoderConfig = EncoderConfig()
    head: Literal["direct", "hazard"] = "direct"
    hazard_bins: Annotated[int, Field(ge=2, le=500)] = 20
    other_labels_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    pretraining: Pretraining | None = None
    scaling: Scaling = "standard"
    hidden_size: Annotated[int, Field(ge=1, le=4096)] = 32
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.05
    l2_penalty: Annotated[float, Field(ge=0.0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0.0)] = 1.0
    clip_value: Annotated[float, Field(gt=0.0)] | None = None
    focal_gamma: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    precision: Precision = "auto"
    accumulate_batches: Annotated[int, Field(ge=1)] = 1
    truncate_steps: Annotated[int, Field(ge=1)] | None = None
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
    conformal_rate: Annotated[float, Field(ge=0.0, le=0.1)] = 0.0
    conformal_by: str | None = None
    dropout_draws: Annotated[int, Field(ge=0, le=1000)] = 0
    together_with: tuple[str, ...] = ()
    threads: Annotated[int, Field(ge=1)] = 1

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError("seeds must be one or more different numbers from 0 upwards")
        return seeds

    @field_validator("together_with")
    @classmethod
    def _challengers_differ(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("a challenger named twice would count twice")
        return names

    @model_validator(mode="after")
    def _the_encoder_can_do_it(self) -> Self:
        kind, entry = self.encoder.kind, ENCODERS[self.encoder.kind]
        causal = entry.is_causal and not self.encoder.bidirectional
        if self.pretraining is not None and not causal:
            raise ValueError(
                "pretraining asks every step for the next one, which the encoder has seen already: "
                "use one that reads forwards only"
            )
        if self.truncate_steps is not None and not (entry.can_carry and causal):
            able = ", ".join(name for name, other in ENCODERS.items() if other.can_carry)
            raise ValueError(
                f"truncate_steps: {kind} cannot go on where a window stopped; {able} can, "
                "reading forwards only"
            )
        if self.encoder.decay and self.scaling == "none":
            raise ValueError("encoder.decay: values fade to 0, which is a middle only once scaled")
        return self

    @model_validator(mode="after")
    def _windows_have_their_seeds(self) -> Self:
        if self.window_seeds > len(self.seeds):
            raise ValueError("window_seeds cannot be more than there are seeds")
        return self

    @model_validator(mode="after")
    def _training_makes_sense(self) -> Self:
        if self.warmup_epochs >= self.max_epochs:
            raise ValueError("warmup_epochs must be fewer than max_epochs")
        if self.focal_gamma > 0 and self.head == "hazard":
            raise ValueError("focal_gamma is of two classes, and a hazard has none")
        if self.positive_weight != 1.0 and self.head == "hazard":
            raise ValueError("positive_weight is of two classes, and a hazard has none")
        if self.dropout_draws > 0 and self.dropout == 0.0:
            raise ValueError("dropout_draws: without dropout all draws are the same")
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
