"""A recurrence step by step: for what torch's fused ones cannot do between two steps."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear

State = tuple[Tensor, ...]
Cell = Callable[[Tensor, Tensor, State], State]


def unroll(
    cell: Cell,
    weights: list[Tensor],
    inputs: Tensor,
    steps: Tensor,
    state: State,
    fade: Tensor | None = None,
    kept: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Hidden states [B, T, H] of inputs [B, T, I], and the state after each last true step.

    Args:
        cell: from what the input and the hidden state [B, H] say to the gates, and the state
            before, to the state after.
        weights: of the input [G, I] and of the state [G, H], and their biases [G].
        steps: [B, T] where there is a step; elsewhere the state stays as it is.
        state: before the first step, each [B, H], the hidden state first.
        fade: [B, T, H] what is left of the state when a step begins.
        kept: [B, H] what the gates see of the hidden state: 0 or 1 / share, at all steps alike.
    """
    of_input, of_state, input_bias, state_bias = weights
    from_inputs = linear(inputs, of_input, input_bias).unbind(1)  # T x [B, G]
    hidden = []
    for step, from_input in enumerate(from_inputs):
        before = state if fade is None else tuple(part * fade[:, step] for part in state)
        seen = before[0] if kept is None else before[0] * kept
        after = cell(from_input, linear(seen, of_state, state_bias), before)
        here = steps[:, step : step + 1]
        state = tuple(torch.where(here, new, old) for new, old in zip(after, state, strict=True))
        hidden.append(state[0])
    return torch.stack(hidden, dim=1), state
