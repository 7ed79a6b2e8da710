# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Tensors and arrays in files."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dhq_brevitas.util.files import START_OVER, atomic_path

__all__ = ["load_arrays", "load_state", "load_tensors", "restore", "save_state", "save_tensors"]


def save_tensors(path: str | os.PathLike[str], value: Any) -> None:
    """Writes what ``torch.save`` can, whole or not at all; equal values give equal bytes."""
    # Given a path, torch.save writes that name into the file, and the name here is a random one.
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        torch.save(value, stream)


def save_state(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Writes a state_dict, whole or not at all."""
    save_tensors(path, model.state_dict())


def load_tensors(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Any:
    """What :func:`save_tensors` wrote; nothing in the file is run.

    Raises ValueError that names the file if it is another one, and OSError if it cannot be read.
    """
    with open(path, "rb") as stream:
        try:
            return torch.load(stream, map_location=device, weights_only=True)
        except Exception as error:  # a file that is none fails in many ways
            raise ValueError(f"{path} is no file of tensors, or damaged") from error


def load_state(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Puts what :func:`save_state` wrote into ``model``; ValueError if it is another's."""
    state = load_tensors(path)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds the state of another network; {START_OVER}") from error


def restore(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """``model.load_state_dict(state)``, on the device that the model is on.

    Brevitas makes new quantizers, on the CPU, when a state is loaded.
    """
    device = next((parameter.device for parameter in model.parameters()), None)
    model.load_state_dict(state)
    model.to(device)


def load_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of an .npz file; nothing in it is run. ValueError that names it if it is none."""
    with open(path, "rb") as stream:
        try:
            with np.load(stream, allow_pickle=False) as arrays:
                return dict(arrays)
        except Exception as error:  # as above
            raise ValueError(f"{path} is no file of arrays, or damaged; {START_OVER}") from error
