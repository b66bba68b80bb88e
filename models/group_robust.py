"""Group DRO: the loss of the worst group, by weights of groups that follow their losses.

Sagawa, Koh, Hashimoto and Liang, ICLR 2020, algorithm 1: after each batch q_g grows by
exp(step x mean loss of g in the batch), then the network steps on sum of q_g x loss of g. So
batches are not accumulated here; where memory makes that necessary, q moves with each part.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.distributed import added_up, processes_together, require_memory


@dataclass
class GroupRobust:
    """The weights of groups and how they move.

    Attributes:
        groups: [E] the group of each example.
        share: [G] of the training rows' weight that each group holds; 0 for a group that is not
            among them.
        step: how fast the weights move.
        q: [G] the weights, which add up to 1; they change with every batch.
    """

    groups: Tensor
    share: Tensor
    step: float
    q: Tensor

    @classmethod
    def start(cls, groups: Tensor, rows: Tensor, weights: Tensor, step: float) -> "GroupRobust":
        """Equal weights for all groups that the training `rows` [R] of these weights [R] have."""
        held = torch.zeros(int(groups.max()) + 1, dtype=torch.float64)
        held.index_add_(0, groups[rows], weights.double())
        present = (held > 0).double()
        return cls(groups, held / held.sum(), step, present / present.sum())

    def loss(self, losses: Tensor, weights: Tensor, rows: Tensor) -> Tensor:
        """[] the robust loss of a batch, in the scale of a sum of `losses`.

        losses [B] are weight x loss and exactly 0 where `weights` [B] are, so that an example of
        unknown label moves nothing. Were q the groups' share, this would be the plain sum.
        """
        member = torch.nn.functional.one_hot(self.groups[rows], len(self.q)).to(losses)
        sums, held = losses @ member, weights.to(losses.dtype) @ member  # [G]
        with torch.no_grad():
            all_sums, all_held = _of_all_processes(sums, held)
            all_held_or_1 = torch.where(all_held > 0, all_held, 1.0)
            mean = torch.where(all_held > 0, all_sums / all_held_or_1, 0.0)
            grown = self.q * torch.exp(self.step * mean.double().to(self.q.device))
            self.q = grown / grown.sum()
        factor = torch.where(self.share > 0, self.q / torch.where(self.share > 0, self.share, 1), 0)
        return (factor.to(losses) * sums).sum()


def _of_all_processes(sums: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    """[G] and [G] of the whole batch, of which each process has a share."""
    if processes_together() == 1:
        return sums, held
    own = torch.stack([sums.detach(), held]).double().cpu()
    require_memory()
    all_sums, all_held = added_up(own)
    return all_sums, all_held
