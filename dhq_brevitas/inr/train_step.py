# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""One step of training: samples chosen, loss, gradients, Adam; on CUDA as a captured graph.

A step of a small network is some hundred kernels of microseconds, so on CUDA launching them takes
longer than running them. There the first steps run as they are, one is captured as a CUDA graph,
and every later step replays it. Nothing is copied to the device in a step but the numbers of the
chosen samples, which are on the device already, and the learning rates.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dhq_brevitas.nn.hadamard_kernel import KernelWarning
from dhq_brevitas.util.errors import first_line

__all__ = ["TrainStep", "adam", "captured", "load_adam", "train_step"]

# PyTorch asks for some steps before a capture, in which libraries and optimizer make their state.
WARM_UP = 3


def adam(groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Adam:
    """Adam for parameter groups; ``factor`` is a group's share of the learning rate."""
    groups = [{"factor": 1.0, **group} for group in groups]
    on_cuda = all(p.device.type == "cuda" for group in groups for p in group["params"])
    # What a graph replays reads the count of steps and the rates from the device.
    options: dict[str, Any] = {"capturable": True, "fused": True} if on_cuda else {}
    return torch.optim.Adam(groups, lr=learning_rate, **options)


def load_adam(optimizer: torch.optim.Adam, state: dict[str, Any]) -> None:
    """Continues from a state that was saved on this kind of device or another."""
    kept = {name: optimizer.defaults[name] for name in ("capturable", "fused")}
    optimizer.load_state_dict(
        {**state, "param_groups": [{**group, **kept} for group in state["param_groups"]]}
    )


class TrainStep:
    """A step of Adam on the mean squared error of ``predict(inputs)``, computed as it stands.

    Args:
        predict: inputs [K, n] -> what is compared with ``target`` [K, m].
        optimizer: of :func:`adam`.
        inputs, target: all samples.
    """

    def __init__(
        self,
        predict: Callable[[Tensor], Tensor],
        optimizer: torch.optim.Adam,
        inputs: Tensor,
        target: Tensor,
    ) -> None:
        self.predict, self.optimizer = predict, optimizer
        self.inputs, self.target = inputs, target

    def __call__(self, chosen: Tensor | None, rate: float) -> Tensor:
        """The loss of the samples of numbers ``chosen``, int64 [K], or of all, before the step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        return self._take(chosen)

    def _take(self, chosen: Tensor | None) -> Tensor:
        x, y = self.inputs, self.target
        if chosen is not None:
            x, y = x[chosen], y[chosen]
        loss = (self.predict(x) - y).square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class _CapturedStep(TrainStep):
    """The same on CUDA, replayed from a graph; where none can be captured, as it stands."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.steps_taken = 0
        self.stream = torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None
        self.chosen: Tensor | None = None
        self.loss = self.target.new_zeros(())
        for group in self.optimizer.param_groups:
            group["lr"] = self.target.new_zeros((), dtype=torch.float32)

    def __call__(self, chosen: Tensor | None, rate: float) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"].fill_(rate * group["factor"])
        if chosen is not None:
            if self.chosen is None:
                self.chosen = chosen.clone()
            self.chosen.copy_(chosen)
        if self.steps_taken == WARM_UP:
            self._capture()
        self.steps_taken += 1
        if self.graph is not None:
            self.graph.replay()
            return self.loss
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            loss = self._take(self.chosen)
        current.wait_stream(self.stream)
        return loss

    def _capture(self) -> None:
        def take() -> None:
            self.loss = self._take(self.chosen)

        self.graph = captured(take, self.stream)


def captured(
    work: Callable[[], None], stream: torch.cuda.Stream | None = None
) -> torch.cuda.CUDAGraph | None:
    """A graph that does ``work`` when it is replayed; None, with a warning, if there is none."""
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=stream):
            work()
    except Exception as error:  # whatever a network does that a graph cannot hold
        warnings.warn(
            "training runs without a CUDA graph, several times more slowly: a step cannot be "
            f"captured ({first_line(error)})",
            KernelWarning,
            stacklevel=5,
        )
        return None
    return graph


def train_step(
    predict: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Adam,
    inputs: Tensor,
    target: Tensor,
) -> TrainStep:
    """The step for the device of ``inputs``; arguments as for :class:`TrainStep`."""
    kind = _CapturedStep if inputs.device.type == "cuda" else TrainStep
    return kind(predict, optimizer, inputs, target)
