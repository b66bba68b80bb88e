"""From raw numbers to what the network reads: step by step, and in sum at the end."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from models.batches import Batch, Rows, assemble, latest_observed, plan_batches
from models.config import Scaling
from models.scaled_values import EXTREME_DEVIATIONS, ScaledValues, standardised
from models.scaling import Scaler, fit_scaler
from models.store import SequenceStore

SMALLEST_DEVIATION = 0.05
TOKENS_AT_A_TIME = 32_768


class Inputs(nn.Module):
    """Scaled inputs of a Batch, finite everywhere.

    What padding holds is replaced by 0 with `where` before anything is computed from it: a
    product with a mask would let NaN and inf through, forwards and backwards.
    """

    def __init__(self, scaler: Scaler) -> None:
        super().__init__()
        self.scaler = scaler
        self.step_size = 3 * len(scaler.channel_mean) + 1
        self.fact_size = _fact_size(scaler)
        self.channels = ScaledValues(scaler.channel_scales)
        self.statics = ScaledValues(scaler.static_scales)
        for name in ("fact_mean", "fact_std"):
            numbers = torch.tensor(getattr(scaler, name), dtype=torch.float32)
            self.register_buffer(name, numbers, persistent=False)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Step inputs [B, T, 3C + 1] and facts [B, 4C + 2F + 1].

        A step: per channel the value (0 if not observed), whether it was observed, the time since
        it was before; and the step's age. The facts are those of `_facts`, made comparable.
        """
        observed = batch.observed & batch.steps.unsqueeze(-1)  # [B, T, C]
        value = self.channels(torch.where(observed, batch.value, 0.0))
        value = torch.where(observed, value, 0.0)
        days_before = torch.where(batch.steps, -batch.step_days, 0.0)  # [B, T]
        elapsed = torch.where(batch.steps.unsqueeze(-1), batch.elapsed_days, -1.0)
        age = (torch.log1p(days_before) - self.scaler.age_mean) / self.scaler.age_std
        age = torch.where(batch.steps, age, 0.0)
        steps = torch.cat(
            [value, observed.float(), self._log_gap(elapsed), age.unsqueeze(2)], dim=2
        )
        facts = self._facts(value, observed, days_before, batch.statics)
        mean, std = self.get_buffer("fact_mean"), self.get_buffer("fact_std")
        return steps, standardised(facts, mean, std)

    def _facts(self, value: Tensor, observed: Tensor, days_before: Tensor, raw: Tensor) -> Tensor:
        """[B, 4C + 2F + 1]: last value, whether, how long ago and how often seen; statics."""
        latest = latest_observed(observed)[:, -1]  # [B, C], -1 if never
        step, ever = latest.clamp(min=0), latest >= 0
        last_value = torch.where(ever, value.gather(1, step.unsqueeze(1)).squeeze(1), 0.0)
        since = torch.where(ever, days_before.gather(1, step), -1.0)
        count = observed.sum(dim=1)
        unknown = torch.isnan(raw)
        statics = self.statics(torch.where(unknown, 0.0, raw))
        return torch.cat(
            [
                last_value,
                ever.float(),
                self._log_gap(since),
                torch.log1p(count),
                torch.where(unknown, 0.0, statics),
                unknown.float(),
                torch.log1p(count.sum(dim=1, keepdim=True)),
            ],
            dim=1,
        )

    def _log_gap(self, days: Tensor) -> Tensor:
        """Scaled log of days; 0 where days are -1 (never).

        Where steps follow each other by the hour, a channel that was last seen two days ago lies
        dozens of deviations of a step's gap away: like any other input, it is cut.
        """
        scaled = (torch.log1p(days.clamp(min=0)) - self.scaler.gap_mean) / self.scaler.gap_std
        scaled = scaled.clamp(-EXTREME_DEVIATIONS, EXTREME_DEVIATIONS)
        return torch.where(days >= 0, scaled, 0.0)


@torch.inference_mode()
def fit_inputs(
    store: SequenceStore, rows: Rows, max_steps: int, scaling: Scaling = "standard"
) -> Scaler:
    """The scaler of the examples `rows` [R], with the mean and deviation of their facts.

    Without these a rare diagnosis would hardly move the head: its 0 or 1 has a deviation of 0.1.
    Facts are standardised however values are scaled: they are numbers of many kinds.
    """
    rows = np.sort(rows)
    scaler = fit_scaler(store, rows, scaling)
    width = _fact_size(scaler)
    inputs = Inputs(replace(scaler, fact_mean=(0.0,) * width, fact_std=(1.0,) * width))
    plan = plan_batches(store.lengths.clip(max=max_steps), rows, tokens=TOKENS_AT_A_TIME)
    facts = [inputs(assemble(store, chosen, max_steps=max_steps))[1] for chosen in plan]
    std, mean = torch.std_mean(torch.cat(facts).double(), dim=0, correction=0)
    return replace(
        scaler,
        fact_mean=tuple(mean.tolist()),
        fact_std=tuple(std.clamp(min=SMALLEST_DEVIATION).tolist()),
    )


def _fact_size(scaler: Scaler) -> int:
    return 4 * len(scaler.channel_mean) + 2 * len(scaler.static_mean) + 1
