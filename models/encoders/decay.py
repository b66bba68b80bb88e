"""What was seen long ago counts less: GRU-D's two decays, for any recurrent encoder.

Che et al. 2018, "Recurrent neural networks for multivariate time series with missing values",
equations 10-12; the elapsed times go in as log(1 + days).
"""

import torch
from torch import Tensor, nn

from models.batches import days_since_observed, latest_observed
from models.encoders.encoder import Sequences

# Rates are cut at 0 from below and nothing is learned there: all start above, and small.
HIGHEST_FIRST_RATE = 0.2


class Decay(nn.Module):
    """Learned rates per channel, for values, and per unit of each recurrence, for its state."""

    def __init__(self, channels: int, hidden_size: int, recurrences: int) -> None:
        super().__init__()
        self.channels = channels
        self.value_rate = nn.Parameter(torch.empty(channels))
        self.value_bias = nn.Parameter(torch.zeros(channels))
        nn.init.uniform_(self.value_rate, 0.0, HIGHEST_FIRST_RATE)
        rates = [nn.Linear(channels + 1, hidden_size) for _ in range(recurrences)]
        for linear in rates:
            nn.init.uniform_(linear.weight, 0.0, HIGHEST_FIRST_RATE / (channels + 1))
            nn.init.zeros_(linear.bias)
        self.state_rates = nn.ModuleList(rates)

    def fill(self, sequences: Sequences, latest: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs [B, T, I] without gaps, and the value [B, C] last seen of each channel.

        An unobserved value lies between the last one seen and 0, the mean or median that values
        are scaled by: exp(-relu(w d + b)) of the former. What was never seen is 0.

        Args:
            latest: [B, C] what was last seen before the first step, 0 where nothing.
        """
        cuts = (self.channels, 2 * self.channels)
        value, observed, others = torch.tensor_split(sequences.inputs, cuts, dim=2)
        seen = (observed > 0) & sequences.steps.unsqueeze(2)
        at = latest_observed(seen)  # [B, T, C]
        last = torch.where(at >= 0, value.gather(1, at.clamp(min=0)), latest.unsqueeze(1))
        elapsed = sequences.elapsed[:, :, : self.channels]
        left = torch.exp(-torch.relu(self.value_rate * elapsed + self.value_bias))
        filled = torch.where(seen, value, left * last)
        filled = torch.where(sequences.steps.unsqueeze(2), filled, 0.0)
        return torch.cat([filled, observed, others], dim=2), last[:, -1]

    def of_state(self, recurrence: int, elapsed: Tensor) -> Tensor:
        """[B, T, H] the share exp(-relu(W d + b)) of a state that is left, of [B, T, C + 1]."""
        return torch.exp(-torch.relu(self.state_rates[recurrence](elapsed)))


def elapsed_from_the_end(sequences: Sequences, channels: int) -> Tensor:
    """[B, T, C + 1] `elapsed` as whoever reads the true steps from the last to the first has it.

    Its steps are in the reversed order. 0 where no later step saw the channel, and on padding.
    """
    steps = sequences.steps.unsqueeze(2)
    # Days are summed up and then subtracted again: float32 would lose short ones among long.
    since_step = torch.expm1(sequences.elapsed[:, :, -1].double())  # [B, T] days
    days = from_the_end(-since_step.cumsum(1).unsqueeze(2), sequences.lengths).squeeze(2)
    observed = sequences.inputs[:, :, channels : 2 * channels] > 0
    observed = from_the_end(observed & steps, sequences.lengths)
    since_seen = days_since_observed(observed, days)
    since_step = torch.diff(days, dim=1, prepend=days[:, :1]).unsqueeze(2)
    elapsed = torch.cat([since_seen, since_step], dim=2).clamp(min=0.0)
    return torch.log1p(torch.where(steps, elapsed, 0.0)).to(sequences.elapsed.dtype)


def from_the_end(numbers: Tensor, lengths: Tensor) -> Tensor:
    """[B, T, H] with the true steps of each row in reversed order; padding stays where it is."""
    here = torch.arange(numbers.shape[1], device=numbers.device).unsqueeze(0)
    there = lengths.unsqueeze(1) - 1 - here  # [B, T]
    there = torch.where(there >= 0, there, here)
    return numbers.gather(1, there.unsqueeze(2).expand(numbers.shape))
