"""The masked LSTM: reads a sequence of time steps, joins the statics, answers with a logit.

At each step the network sees, per channel, the value, whether it was observed and the time since
it was last observed, and the step's own age (Lipton et al. 2016; Che et al. 2018). The head also
sees what is known of each channel at the end, so that the LSTM need not learn to copy.
"""

import torch
from torch import Tensor, nn

from models.batches import Batch, latest_observed
from models.heads import RiskHead
from models.scaling import Scaler

EXTREME_DEVIATIONS = 5.0


class MaskedLSTM(nn.Module):
    """Logit [B] of a Batch. Padding (amount, side, value) and batch mates change nothing.

    What padding holds is replaced by 0 with `where` before anything is computed from it: a
    product with a mask would let NaN and inf through, forwards and backwards.
    """

    def __init__(self, scaler: Scaler, *, hidden_size: int, layers: int, dropout: float) -> None:
        super().__init__()
        channels, statics = len(scaler.channel_mean), len(scaler.static_mean)
        self.scaler = scaler
        for name in ("channel_mean", "channel_std", "static_mean", "static_std"):
            self.register_buffer(name, torch.tensor(getattr(scaler, name)), persistent=False)
        self.lstm = nn.LSTM(
            input_size=3 * channels + 1,
            hidden_size=hidden_size,
            num_layers=layers,
            dropout=dropout if layers > 1 else 0.0,
            batch_first=True,
        )
        self.head = RiskHead(hidden_size, 4 * channels + 2 * statics + 1, hidden_size, dropout)

    def forward(self, batch: Batch) -> Tensor:
        observed = batch.observed & batch.steps.unsqueeze(-1)  # [B, T, C]
        value = self._scale(torch.where(observed, batch.value, 0.0), "channel")
        value = torch.where(observed, value, 0.0)
        days_before = torch.where(batch.steps, -batch.step_days, 0.0)  # [B, T]
        elapsed = torch.where(batch.steps.unsqueeze(-1), batch.elapsed_days, -1.0)
        inputs = torch.cat(
            [value, observed.float(), self._log_gap(elapsed), self._log_age(days_before)], dim=2
        )
        memory = last_state(self.lstm, inputs, batch.steps)  # [B, H]
        facts = self._facts(value, observed, days_before, batch.statics)
        logit: Tensor = self.head(memory, facts)
        return logit

    def _facts(self, value: Tensor, observed: Tensor, days_before: Tensor, raw: Tensor) -> Tensor:
        """[B, 4C + 2F + 1]: last value, whether and how long ago and how often seen; statics."""
        latest = latest_observed(observed)[:, -1]  # [B, C], -1 if never
        step = latest.clamp(min=0)
        ever = latest >= 0
        last_value = torch.where(ever, value.gather(1, step.unsqueeze(1)).squeeze(1), 0.0)
        since = torch.where(ever, days_before.gather(1, step), -1.0)
        unknown = torch.isnan(raw)
        statics = self._scale(torch.where(unknown, 0.0, raw), "static")
        count = observed.sum(dim=1)
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

    def _scale(self, raw: Tensor, kind: str) -> Tensor:
        mean, std = self.get_buffer(f"{kind}_mean"), self.get_buffer(f"{kind}_std")
        return ((raw - mean) / std).clamp(-EXTREME_DEVIATIONS, EXTREME_DEVIATIONS)

    def _log_gap(self, days: Tensor) -> Tensor:
        """Scaled log of days; 0 where days are -1 (never)."""
        scaled = (torch.log1p(days.clamp(min=0)) - self.scaler.gap_mean) / self.scaler.gap_std
        return torch.where(days >= 0, scaled, 0.0)

    def _log_age(self, days_before: Tensor) -> Tensor:
        """[B, T, 1] scaled log of the days from each step to the index time."""
        return ((torch.log1p(days_before) - self.scaler.age_mean) / self.scaler.age_std).unsqueeze(
            2
        )


def last_state(lstm: nn.LSTM, inputs: Tensor, steps: Tensor) -> Tensor:
    """[B, H] the state after each example's last true step; 0 for an example without any.

    The true steps are first moved to the front, in their order. What then follows them is read
    by the LSTM after they are, and what it answers there is never looked at. (A packed sequence
    would not be read at all, and costs 16 times as much: its backward is quadratic in length.)

    Args:
        inputs: [B, T, I] finite everywhere.
        steps: [B, T] True for a time step, False for padding, in any order.
    """
    order = torch.argsort((~steps).to(torch.uint8), dim=1, stable=True)  # [B, T]
    front = inputs.gather(1, order.unsqueeze(2).expand(inputs.shape))
    states, _ = lstm(front)  # [B, T, H]
    length = steps.sum(dim=1)
    last = (length - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, states.shape[2])
    return torch.where(length.unsqueeze(1) > 0, states.gather(1, last).squeeze(1), 0.0)


def reference_lstm(lstm: nn.LSTM, inputs: Tensor) -> Tensor:
    """[T, H] states of one sequence [T, I], written out from the gate equations: a test's oracle.

    Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; gates in torch's
    order i, f, g, o. Layers follow each other, without dropout.
    """
    states = inputs
    for layer in range(lstm.num_layers):
        from_input, from_state, input_bias, state_bias = lstm.all_weights[layer]
        hidden = cell = inputs.new_zeros(lstm.hidden_size)
        answers = []
        for x in states:
            gates = from_input @ x + input_bias + from_state @ hidden + state_bias
            i, f, g, o = gates.chunk(4)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            hidden = torch.sigmoid(o) * torch.tanh(cell)
            answers.append(hidden)
        states = torch.stack(answers) if answers else states.new_zeros(0, lstm.hidden_size)
    return states
