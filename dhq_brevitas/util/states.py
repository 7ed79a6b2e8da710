# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""State dictionaries in files."""

import os
from typing import Any

import torch
from torch import nn

from dhq_brevitas.util.files import atomic_path

__all__ = ["load_state", "save_state"]


def save_state(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Writes a state_dict, whole or not at all."""
    with atomic_path(path) as temporary:
        torch.save(model.state_dict(), temporary)


def load_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A state_dict, on the CPU; nothing in the file is run."""
    return torch.load(path, map_location="cpu", weights_only=True)
