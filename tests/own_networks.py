# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Float networks as users write them, small, with the inputs they are made for."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 16


def grid(side: int = SIDE, axes: int = 2) -> Tensor:
    """All points of [-1, 1]^axes, both ends included, float32 [side^axes, axes]."""
    line = torch.linspace(-1, 1, side)
    return torch.stack(torch.meshgrid(*[line] * axes, indexing="ij"), -1).reshape(-1, axes)


class SineLayer(nn.Module):
    """As in the notebook of SIREN's authors: a linear layer inside the module of the sine."""

    def __init__(self, n_in: int, n_out: int, first: bool = False, omega: float = 30.0) -> None:
        super().__init__()
        self.omega_0 = omega
        self.linear = nn.Linear(n_in, n_out)
        bound = 1 / n_in if first else math.sqrt(6 / n_in) / omega
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.omega_0 * self.linear(x))


class NotebookSiren(nn.Module):
    """That notebook's network: it returns the coordinates, too."""

    def __init__(self, hidden: int = 16, outputs: int = 3) -> None:
        super().__init__()
        layers = [SineLayer(2, hidden, first=True), SineLayer(hidden, hidden)]
        self.net = nn.Sequential(*layers, nn.Linear(hidden, outputs))

    def forward(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        coords = coords.clone().detach().requires_grad_(True)
        return self.net(coords), coords


class HashGrid(nn.Module):
    """Features of points in [-1, 1]², bilinear between those of cells; the finer grid is hashed."""

    def __init__(self, sides: tuple[int, ...] = (4, 16), entries: int = 64, width: int = 4) -> None:
        super().__init__()
        self.sides = sides
        self.tables = nn.ParameterList(torch.randn(entries, width) for _ in sides)

    def forward(self, points: Tensor) -> Tensor:
        levels = []
        for side, table in zip(self.sides, self.tables, strict=True):
            place = (points + 1) / 2 * side
            corner = place.floor().long()
            found = torch.zeros(len(points), table.shape[1])
            for x, y in ((0, 0), (0, 1), (1, 0), (1, 1)):
                cell = corner + torch.tensor([x, y])
                share = (1 - (place - cell).abs()).clamp(min=0).prod(dim=1, keepdim=True)
                found += share * table[(cell[:, 0] ^ (cell[:, 1] * 2654435761)) % len(table)]
            levels.append(found)
        return torch.cat(levels, dim=1)


def chain(activation: nn.Module, hidden: int = 16, outputs: int = 3, **options) -> nn.Sequential:
    """Linear layers with one kind of activation; ``last``: a module behind them."""
    last = [options["last"]] if "last" in options else []
    layers = [nn.Linear(2, hidden), activation, nn.Linear(hidden, hidden), activation]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs), *last)


def normalized(activation: nn.Module, hidden: int = 16) -> nn.Sequential:
    """BatchNorm with statistics, and weights of both signs, ahead of the activation."""
    norm = nn.BatchNorm1d(hidden)
    nn.init.uniform_(norm.weight, -1, 1)
    nn.init.normal_(norm.bias)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    return nn.Sequential(nn.Linear(2, hidden), norm, activation, nn.Linear(hidden, 3))


class Pixelwise(nn.Module):
    """1 x 1 convolutions on [N, C, H, W], and two pixels a side from each by a shuffle."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, hidden, 1), nn.BatchNorm2d(hidden)
        self.last, self.shuffle = nn.Conv2d(hidden, 4, 1), nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffle(self.last(torch.sin(3 * self.norm(self.first(x)))))


class Fourier(nn.Module):
    """Random Fourier features inside forward."""

    def __init__(self, features: int = 8, hidden: int = 16) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, features))
        self.first, self.last = nn.Linear(2 * features, hidden), nn.Linear(hidden, 3)

    def forward(self, x: Tensor) -> Tensor:
        angles = 2 * torch.pi * x @ self.frequencies
        encoded = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
        return self.last(torch.relu(self.first(encoded)))


class Positional(nn.Module):
    """Frequencies 2^k of each coordinate, and the coordinates beside them."""

    def __init__(self, octaves: int = 4, hidden: int = 16) -> None:
        super().__init__()
        self.octaves = octaves
        self.first, self.last = nn.Linear(2 + 4 * octaves, hidden), nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        scaled = (x[..., None] * (math.pi * 2.0 ** torch.arange(self.octaves))).flatten(-2)
        encoded = torch.cat([x, scaled.sin(), scaled.cos()], dim=-1)
        return self.last(F.gelu(self.first(encoded))).squeeze(-1)


class Nerf(nn.Module):
    """Skip concatenation, a branch for the view, color and density."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, hidden), nn.Linear(hidden + 3, hidden)
        self.density, self.feature = nn.Linear(hidden, 1), nn.Linear(hidden, hidden)
        self.view, self.color = nn.Linear(hidden + 3, hidden // 2), nn.Linear(hidden // 2, 3)

    def forward(self, points: Tensor, views: Tensor) -> dict[str, Tensor]:
        h = F.relu(self.first(points))
        h = F.relu(self.second(torch.cat([points, h], dim=-1)))
        density = F.relu(self.density(h)).squeeze(-1)
        h = F.relu(self.view(torch.cat([self.feature(h), views], dim=-1)))
        return {"color": torch.sigmoid(self.color(h)), "density": density}


class DeepSdf(nn.Module):
    """A constant latent by expand and cat, weight norm, a skip, tanh at the end."""

    def __init__(self, latent: int = 5, hidden: int = 16) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.randn(latent))
        norm = nn.utils.parametrizations.weight_norm
        self.first = norm(nn.Linear(latent + 3, hidden))
        self.second = norm(nn.Linear(hidden + latent + 3, hidden))
        self.last = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        given = torch.cat([self.latent.expand(len(x), -1), x], dim=1)
        h = torch.relu(self.first(given))
        h = F.softplus(self.second(torch.cat([h, given], dim=1)), beta=10)
        return torch.tanh(self.last(h))


class Residual(nn.Module):
    """(h + sin(Wh + b)) / 2, and one minus a sigmoid at the end."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.first, self.inner = nn.Linear(2, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.sin(30 * self.first(x))
        h = 0.5 * (h + torch.sin(self.inner(h)))
        return 1 - torch.sigmoid(self.last(h))


class Filters(nn.Module):
    """A multiplicative filter network with an output behind each filter."""

    def __init__(self, hidden: int = 16, filters: int = 3) -> None:
        super().__init__()
        self.filters = nn.ModuleList(nn.Linear(2, hidden) for _ in range(filters))
        self.linears = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(filters - 1))
        self.outputs = nn.ModuleList(nn.Linear(hidden, 1) for _ in range(filters))

    def forward(self, x: Tensor) -> list[Tensor]:
        z = torch.sin(self.filters[0](x))
        found = [self.outputs[0](z)]
        for filter_, linear, output in zip(
            self.filters[1:], self.linears, self.outputs[1:], strict=True
        ):
            z = linear(z) * torch.sin(filter_(x))
            found.append(output(z))
        return found


class Modulated(nn.Module):
    """FiLM at run time: z [B, 5] scales and shifts what x [B, N, 2] gives."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.first, self.scale, self.shift = (
            nn.Linear(2, hidden),
            nn.Linear(5, hidden),
            nn.Linear(5, hidden),
        )
        self.last = nn.Linear(hidden, 1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        h = self.first(x) * self.scale(z)[:, None] + self.shift(z)[:, None]
        return self.last(torch.sin(h))


class Conditioned(nn.Module):
    """FiLM at run time: z [N, 5] scales and shifts what x [N, 2] gives."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, hidden), nn.Linear(hidden, 1)
        self.scale, self.shift = nn.Linear(5, hidden), nn.Linear(5, hidden)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.last(torch.sin(self.scale(z) * self.first(x) + self.shift(z)))
