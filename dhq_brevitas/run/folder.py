# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The files of a run folder that several stages know."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dhq_brevitas.util.files import START_OVER

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FLOAT", "LAYERS", "QUANTIZED", "SIGNAL", "Folder"]

SIGNAL = "signal.npz"
FLOAT = "float.pt"
LAYERS = "layers.json"
QUANTIZED = "quant.pt"


class Folder:
    """The folder ``--out`` of one run."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def file(self, name: str) -> Path:
        """Path of a file in the folder."""
        return self.path / name

    def array(self, name: str, entry: str) -> "np.ndarray":
        """One array of a ``.npz`` file in the folder."""
        from dhq_brevitas.util.states import load_arrays

        arrays = load_arrays(self.file(name))
        if entry not in arrays:
            raise ValueError(f"{self.file(name)} has no {entry!r}; {START_OVER}")
        return arrays[entry]
