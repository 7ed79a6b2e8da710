# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Running a module, and looking into it meanwhile; whatever happens, it is left as it was."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["CHUNK", "evaluated", "evaluating", "hooked", "pre_hooked"]

CHUNK = 16384
"""Samples of which the activations of all layers are held at a time."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; every module goes back to the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    if any(training for _, training in modes):  # PyTorch sets each module's, which takes long
        model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            if module.training != training:
                module.training = training


@torch.no_grad()
def evaluated(model: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs [N, …] of ``model`` in evaluation mode for samples [N, …], CHUNK at a time."""
    with evaluating(model):
        outputs = [model(part) for part in inputs.split(CHUNK)]
    return torch.cat([getattr(output, "value", output) for output in outputs])


@contextmanager
def hooked(hooks: Iterable[tuple[nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    """Forward hooks ``(module, args, output) -> None or another output``."""
    with _removed([module.register_forward_hook(hook) for module, hook in hooks]):
        yield


@contextmanager
def pre_hooked(hooks: Iterable[tuple[nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    """Forward pre-hooks ``(module, args) -> None or other arguments``."""
    with _removed([module.register_forward_pre_hook(hook) for module, hook in hooks]):
        yield


@contextmanager
def _removed(handles: list[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
