"""Some more epochs for a network that lost parts of itself, by the one training loop."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor

from models.compression.form import Training
from models.config import ModelConfig
from models.estimator import best_device
from models.loop import class_weight, mean_loss, plan_epoch, predict_raw, train_epoch
from models.network import SequenceNetwork
from models.objectives import objective_of, teaching
from models.optimisation import optimizer_of
from models.parts import known
from models.standing import Standing, weights_of

EPOCHS = 6
# Of the learning rate that the network was trained with: it stands near a minimum already.
SLOWER = 0.5
# Seeds of these epochs, so that they do not draw what the training's own drew.
LATER = 1_000


def fine_tune(
    network: SequenceNetwork,
    config: ModelConfig,
    training: Training,
    masks: Mapping[str, Tensor] | None = None,
) -> SequenceNetwork:
    """The network after the epoch of the lowest validation loss, the one before the first too.

    masks: name of a parameter -> where it may differ from 0; what is 0 elsewhere stays 0, since
    neither its gradient nor its decay move it.

    It goes on where the network stands: nothing is trained ahead of it again, and of the study's
    other outcomes nothing is learned, whose head no stored network has.
    """
    store, part = training.store, training.part
    validation = known(store, part.validation)
    own = {"learning_rate": SLOWER * config.learning_rate, "other_labels_share": 0.0}
    slower = config.model_copy(update=own)
    positive_weight = class_weight(store, known(store, part.train), slower)
    train = teaching(objective_of(store, slower, positive_weight), store, part.train)
    standing = _standing(network, slower)
    _hold(standing.network, masks or {})
    best, least = standing.network.state_dict(), float("inf")
    for epoch in range(EPOCHS + 1):
        if epoch:
            torch.manual_seed(LATER * (training.seed + 1) + epoch)
            plan = plan_epoch(store, train, slower, (training.seed, LATER + epoch))
            train_epoch(store, plan, standing, slower, positive_weight)
        raw = predict_raw(standing.network, store, validation, config.max_steps, best_device())
        loss = mean_loss(store, validation, raw, positive_weight)
        if loss < least:
            least = loss
            best = weights_of(standing.network)
    standing.network.load_state_dict(best)
    return standing.network.eval()


def _standing(network: SequenceNetwork, config: ModelConfig) -> Standing:
    """A training that starts from a copy of the network; it is written nowhere."""
    started = deepcopy(network).to(best_device())
    return Standing(started, optimizer_of(started, config), {}, [], config.min_epochs)


def _hold(network: SequenceNetwork, masks: Mapping[str, Tensor]) -> None:
    for name, parameter in network.named_parameters():
        if name in masks:
            mask = masks[name].to(parameter.device)
            hook: Callable[..., object] = parameter.register_hook
            hook(partial(torch.mul, mask))
