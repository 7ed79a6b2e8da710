# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import pytest
import torch

from dhq_brevitas.inr.training import TrainSpec, fit_float
from dhq_brevitas.signals.grid import grid_codes, grid_step
from dhq_brevitas.signals.pictures import load_image
from small_trainings import SIZE, small_siren


@pytest.fixture(scope="module")
def data():
    """(pixel codes, coordinates, samples) of a small picture."""
    picture = load_image("astronaut", SIZE)
    codes = torch.from_numpy(grid_codes(picture.shape)).float()
    return (
        codes,
        codes * grid_step((SIZE, SIZE)),
        torch.from_numpy(picture.pixels).flatten(0, 1),
    )


@pytest.fixture(scope="module")
def fitted(data):
    _, coordinates, target = data
    siren = small_siren()
    fit_float(siren, coordinates, target, TrainSpec(200), progress=False)
    return siren
