"""Values made comparable as they were fitted to be; whatever finite goes in, finite comes out."""

import torch
from torch import Tensor, nn

from models.value_scales import ValueScales

EXTREME_DEVIATIONS = 5.0


class ScaledValues(nn.Module):
    """[..., F] of raw values [..., F]: ascending in each column, with a finite gradient."""

    def __init__(self, scales: ValueScales) -> None:
        super().__init__()
        self.kind = scales.kind
        for name in ("centre", "spread", "knots"):
            numbers = torch.tensor(getattr(scales, name), dtype=torch.float32)
            self.register_buffer(name, numbers, persistent=False)
        self.register_buffer("scaled", torch.tensor(scales.scaled, dtype=torch.bool), False)
        if self.kind == "quantile":
            self.register_buffer("shares", _shares(self.get_buffer("knots")), persistent=False)

    def forward(self, raw: Tensor) -> Tensor:
        if self.kind == "none":
            return raw
        if self.kind == "quantile":
            return torch.where(self.get_buffer("scaled"), self._normal_scores(raw), raw)
        if self.kind == "log":
            raw = torch.where(self.get_buffer("scaled"), signed_log(raw), raw)
        return standardised(raw, self.get_buffer("centre"), self.get_buffer("spread"))

    def _normal_scores(self, raw: Tensor) -> Tensor:
        """The normal scores of the shares that are linear between knots and constant outside."""
        knots, shares = self.get_buffer("knots"), self.get_buffer("shares")  # [F, KNOTS]
        columns = raw.flatten(end_dim=-2).T.contiguous()  # [F, N]
        above = torch.searchsorted(knots, columns.detach(), right=True)
        above = above.clamp(1, knots.shape[1] - 1)
        low, high = knots.gather(1, above - 1), knots.gather(1, above)
        width = torch.where(high > low, high - low, 1.0)
        # Cut to the two knots first: a number far out would overflow over a narrow width.
        part = (torch.clamp(columns, low, high) - low) / width
        start, end = shares.gather(1, above - 1), shares.gather(1, above)
        scores: Tensor = torch.special.ndtri(start + part * (end - start))
        return scores.T.reshape(raw.shape)


def standardised(raw: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    """Deviations from the centre, those that are extreme cut."""
    return ((raw - centre) / spread).clamp(-EXTREME_DEVIATIONS, EXTREME_DEVIATIONS)


def signed_log(raw: Tensor) -> Tensor:
    """sign(x) log(1 + |x|), whose gradient at 0 is 1: that of sign and size would be 0."""
    positive, negative = raw.clamp(min=0.0), (-raw).clamp(min=0.0)
    return torch.where(raw >= 0, torch.log1p(positive), -torch.log1p(negative))


def _shares(knots: Tensor) -> Tensor:
    """[F, KNOTS] the share of values below each knot: for equal knots, the middle of theirs."""
    first = torch.searchsorted(knots, knots)
    last = torch.searchsorted(knots, knots, right=True) - 1
    return (first + last + 1) / (2.0 * knots.shape[1])
