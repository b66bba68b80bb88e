"""The masked LSTM: reads a sequence of time steps, joins the statics, answers with
the raw numbers that models/tasks.py turns into a prediction.

At each step the network sees, per channel, the value, whether it was observed and the time since
it was last observed, and the step's own age (Lipton et al. 2016; Che et al. 2018). The head also
sees what is known of each channel at the end, so that the LSTM need not learn to copy.
"""

import torch
from torch import Tensor, nn

from models.batches import Batch
from models.heads import Head
from models.inputs import Inputs
from models.scaling import Scaler


class MaskedLSTM(nn.Module):
    """Raw [B, K] of a Batch. Padding (amount, side, value) and batch mates change nothing."""

    def __init__(
        self, scaler: Scaler, *, hidden_size: int, layers: int, dropout: float, outputs: int
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.inputs = Inputs(scaler)
        self.lstm = nn.LSTM(
            input_size=self.inputs.step_size,
            hidden_size=hidden_size,
            num_layers=layers,
            dropout=dropout if layers > 1 else 0.0,
            batch_first=True,
        )
        self.head = Head(hidden_size, self.inputs.fact_size, hidden_size, dropout, outputs)

    def forward(self, batch: Batch) -> Tensor:
        steps, facts = self.inputs(batch)  # [B, T, 3C + 1], [B, K]
        memory = last_state(self.lstm, steps, batch.steps)  # [B, H]
        # The head is a small share of the work, and half precision would round its answer.
        with torch.autocast(memory.device.type, enabled=False):
            whole = self.head.line.weight.dtype
            raw: Tensor = self.head(memory.to(whole), facts.to(whole))
        return raw


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
