# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The device that trains and quantizes; export and everything behind it are on the CPU."""

from typing import TYPE_CHECKING

from dhq_brevitas.util.errors import ArgumentError

if TYPE_CHECKING:
    import torch

__all__ = ["DEVICES", "resolve_device"]

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(device: "str | torch.device") -> "torch.device":
    """``auto`` is CUDA where it is, else the CPU. ArgumentError for a device that is not there."""
    import torch

    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = None
    if found is None or found.type not in DEVICES:
        raise ArgumentError("device", str(device), f"is unknown: use {', '.join(DEVICES)}")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("device", str(device), "is not there: PyTorch finds no GPU; use 'cpu'")
    return found
