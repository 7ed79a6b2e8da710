# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Tensors in files, state dictionaries above all."""

import os
from typing import Any

import torch
from torch import nn

from dhq_brevitas.util.files import atomic_path

__all__ = ["load_state", "save_state", "save_tensors"]


def save_tensors(path: str | os.PathLike[str], value: Any) -> None:
    """Writes what ``torch.save`` can, whole or not at all; equal values give equal bytes."""
    # Given a path, torch.save writes that name into the file, and the name here is a random one.
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        torch.save(value, stream)


def save_state(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Writes a state_dict, whole or not at all."""
    save_tensors(path, model.state_dict())


def load_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A state_dict, on the CPU; nothing in the file is run."""
    return torch.load(path, map_location="cpu", weights_only=True)
