# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Takes out neurons of the first hidden layer that the others can replace.

The first hidden layer of an INR sees coordinates only. The n functions of few coordinates that it
hands on span far fewer than n dimensions where the network is wide: 256 sines of a picture's SIREN
about 150. The rest costs weights, bits and multipliers.

With centered activations, covariance H = hᵀh/N and the next layer's weights W [m, n], leaving out
neuron j and letting the others make up for it costs the next pre-activations a mean squared error
of |W_j|² / (H⁻¹)_jj (Hassibi and Stork, "Second order derivatives for network pruning: optimal
brain surgeon", 1992). The least of these goes, one after another, and its weights W_j are spread
over the rest, W -= W_j (H⁻¹)_j / (H⁻¹)_jj, which leaves those of least squares. The next bias gets
the difference of the means.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.quantization.post_training import MAX_SAMPLES, damped_hessian, drawn
from dhq_brevitas.util.errors import ArgumentError, check_integer

__all__ = ["check_first_hidden", "kept_neurons", "narrowed"]


@torch.no_grad()
def narrowed(network: Inr, inputs: Tensor, width: int) -> Inr:
    """The network with ``width`` neurons in its first hidden layer, the others as before.

    Args:
        network: a fitted network; it stays as it is. Where it has an encoding, the layer behind
            that is narrowed.
        inputs: samples, float32 [N, in_features], as it was trained on; MAX_SAMPLES are used.
        width: at least 1, below the layer's.

    Raises ArgumentError for another width.
    """
    spec = network.spec
    index = _index(spec)
    layer, follower = network.linears[index : index + 2]
    check_first_hidden(width, layer.out_features)
    x = inputs[drawn(len(inputs), MAX_SAMPLES).to(inputs.device)]
    for linear, activation in zip(network.layers[: index + 1], network.activations, strict=False):
        x = activation(linear(x))
    hessian, _ = damped_hessian(x)
    weight = follower.weight.double()
    kept, fitted = _without_least_missed(hessian, weight, width)
    mean = x.double().mean(dim=0)
    narrow = Inr(replace(spec, first_hidden=width)).to(inputs.device)
    state = network.state_dict()
    state |= {
        f"layers.{index}.weight": layer.weight[kept],
        f"layers.{index}.bias": layer.bias[kept],
        f"layers.{index + 1}.weight": fitted.float(),
        f"layers.{index + 1}.bias": follower.bias
        + (weight @ mean - fitted @ mean[kept]).to(follower.bias),
    }
    narrow.load_state_dict(state)
    return narrow


def kept_neurons(spec: InrSpec, plans: Sequence[LayerPlan] | None) -> int | None:
    """Neurons that ``plans`` have in the first hidden layer, where that is all they have fewer.

    None for plans of ``spec`` as it is, and for those that do not fit it otherwise either.
    """
    planned = [(plan.in_features, plan.out_features) for plan in plans or ()]
    sizes, index = spec.sizes, _index(spec)
    if len(planned) != len(sizes):
        return None
    width, (before, whole), (_, after) = planned[index][1], sizes[index], sizes[index + 1]
    sizes[index : index + 2] = [(before, width), (width, after)]
    return width if planned == sizes and width in range(1, whole) else None


def _index(spec: InrSpec) -> int:
    """Of the first hidden layer among the linear ones."""
    return 0 if spec.encoding is None else 1


def check_first_hidden(first_hidden: int | None, hidden: int) -> None:
    """ArgumentError for neurons to keep that are not fewer than the layer has; None is fine."""
    if first_hidden is None:
        return
    check_integer("first_hidden", first_hidden, 1)
    if first_hidden >= hidden:
        raise ArgumentError(
            "first_hidden", first_hidden, f"is what to keep of hidden={hidden}: give fewer"
        )


def _without_least_missed(hessian: Tensor, weight: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Indices of the columns that are left, and their weights of least squares [m, width]."""
    kept = torch.arange(len(hessian), device=hessian.device)
    inverse = torch.linalg.inv(hessian)
    while len(kept) > width:
        cost = weight.square().sum(dim=0) / inverse.diagonal()
        j = int(cost.argmin())
        weight = weight - torch.outer(weight[:, j] / inverse[j, j], inverse[j])
        inverse = inverse - torch.outer(inverse[:, j], inverse[j]) / inverse[j, j]
        left = torch.arange(len(kept), device=kept.device) != j
        kept, weight, inverse = kept[left], weight[:, left], inverse[left][:, left]
    return kept, weight
