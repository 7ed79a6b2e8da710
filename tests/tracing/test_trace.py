# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A rebuilt network computes what the user's module does, before anything is quantized."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils import _pytree as pytree

import own_networks as own
from dhq_brevitas.nn.float_mode import unquantized
from dhq_brevitas.tracing.trace import trace

GRID = own.grid()
POINTS = torch.rand(300, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
ACTIVATIONS = [
    nn.GELU(),
    nn.GELU("tanh"),
    nn.SiLU(),
    nn.Softplus(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.LeakyReLU(),
    nn.PReLU(),
    nn.PReLU(16),
    nn.ELU(),
    nn.Mish(),
    nn.Hardswish(),
    nn.Softsign(),
    nn.ReLU(),
    nn.ReLU6(),
    nn.SELU(),
    nn.Hardtanh(),
    nn.LogSigmoid(),
    nn.Tanhshrink(),
]


def of(forward):
    """A module of two linear layers (2 → 8 → 8) whose forward is ``forward(self, x)``."""

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 8), nn.Linear(8, 8)

        def forward(self, x):
            return forward(self, x)

    return Own()


class Repeated(nn.Module):
    """A latent for each of four sets of nine points, a number that stands in forward."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(7, 3)

    def forward(self, x, z):
        return self.layer(torch.cat([x, z[:, None].expand(-1, 9, -1)], dim=-1)).sin()


def difference(module, *inputs):
    """Largest relative difference over the outputs, without quantizers."""
    network = trace(module, inputs)
    with torch.no_grad(), unquantized(network):
        found = network(*inputs)
    with torch.no_grad():
        expected = pytree.tree_map(torch.Tensor.detach, module.eval()(*inputs))
    found, structure = pytree.tree_flatten(found)
    expected, wanted = pytree.tree_flatten(expected)
    assert structure == wanted
    assert [y.shape for y in found] == [y.shape for y in expected]
    return max(
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True)
    )


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: type(a).__name__)
def test_activations(activation):
    assert difference(own.chain(activation), GRID) < 1e-5


def test_siren_of_pypi():
    siren = pytest.importorskip("siren_pytorch", reason="a network of others")
    network = siren.SirenNet(2, 16, 3, 3, final_activation=nn.Sigmoid())
    assert difference(network, GRID) < 1e-4
    names = [name for name, m in trace(network, [GRID]).named_modules() if hasattr(m, "weight")]
    assert names == ["layers.0", "layers.1", "layers.2", "last_layer"]


@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        (own.NotebookSiren, [GRID]),
        (lambda: own.normalized(nn.ReLU()), [GRID]),
        (lambda: own.chain(nn.SiLU(), last=nn.Flatten(0), outputs=1), [GRID]),
        (own.Pixelwise, [torch.rand(2, 2, 6, 5)]),
        (own.Fourier, [GRID.reshape(1, -1, 2)]),
        (own.Fourier, [GRID.reshape(own.SIDE, own.SIDE, 2)]),
        (own.Positional, [GRID]),
        (own.Nerf, [POINTS, POINTS.flip(0)]),
        (own.DeepSdf, [POINTS]),
        (own.Residual, [GRID]),
        (own.Filters, [GRID]),
        (own.Modulated, [torch.rand(4, 9, 2), torch.randn(4, 5)]),
        (Repeated, [torch.rand(4, 9, 2), torch.randn(4, 5)]),
    ],
)
def test_networks(network, inputs):
    assert difference(network(), *inputs) < 1e-4


@pytest.mark.parametrize(
    "forward",
    [
        lambda s, x: torch.maximum(s.b(s.a(x).sin()), s.a(x)),
        lambda s, x: torch.sin(30 * s.a(x)) * torch.exp(-((s.a(x) * 2) ** 2)),
        lambda s, x: s.b(s.a(x) * torch.sigmoid(1.702 * s.a(x))),
        lambda s, x: torch.where(s.a(x) > 0, s.a(x), 0.1 * s.a(x)),
        lambda s, x: (s.a(x) > 0).float() * s.a(x),
        lambda s, x: s.b(s.a(x).sin()) * (x[:, :1].abs() < 0.5),
        lambda s, x: s.b(torch.tanh(s.a(x) * torch.arange(1, 9) + 1)) - 2,
        lambda s, x: torch.arange(1, 9) * torch.relu(s.a(x)) + torch.ones(8),
        lambda s, x: s.b(torch.relu(s.a(x)) + torch.relu(s.a(x)) ** 2),
        lambda s, x: torch.lerp(F.linear(x, s.a.weight, s.a.bias).clamp(0, 1), s.a(x).sin(), 0.3),
        lambda s, x: x @ s.a.weight.T + s.a.bias,
        lambda s, x: (s.a.weight @ x.T).T,
        lambda s, x: torch.einsum("nd,hd->nh", x, s.a.weight),
        lambda s, x: F.glu(s.a(x)),
        lambda s, x: -s.a(x).sin().mul_(2).add_(1),
        lambda s, x: (s.a(x).sin() ** 2).sum(-1, keepdim=True),
        lambda s, x: s.a(x).reshape(-1, 2, 4).permute(0, 2, 1),
        lambda s, x: torch.stack([s.a(x)[:, 0], s.a(x)[:, 5].relu()], -1),
        lambda s, x: torch.cat([s.a(x)[:, :1].sigmoid(), s.a(x)[:, 1:], torch.ones(len(x), 1)], 1),
        lambda s, x: {"a": s.a(x).split(4, -1), "b": (1 - s.b(s.a(x).sin()), x)},
        lambda s, x: s.b(s.a(x).sin() + s.a(x)) / (1 + s.a(x).exp()),
        lambda s, x: torch.addcmul(s.a(x).sin(), s.b(s.a(x).sin()), s.a(x).cos(), value=0.5),
    ],
)
def test_ways_to_write_it(forward):
    assert difference(of(forward), GRID) < 1e-4


def test_tables_of_one_period_are_one():
    """Fourier features are a chain: no concatenation is left."""
    network = trace(own.Fourier(), [GRID])
    kinds = [step.kind for step in network._program.steps]
    assert "cat" not in kinds
    assert network.get_submodule("linear").out_features == 16


def test_a_periodic_function_wraps_and_others_have_a_measured_range():
    network = trace(of(lambda s, x: torch.sin(30 * s.b(F.silu(5 * s.a(x))))), [GRID])
    tables = [m for m in network.modules() if hasattr(m, "table_bit_width")]
    assert [(table.period, table.limit) for table in tables] == [(None, 1.0), (1.0, None)]
    # The whole of the table is used: nothing is clipped, and not much is left over.
    with torch.no_grad(), unquantized(network):
        seen = []
        handle = tables[0].register_forward_pre_hook(lambda m, args: seen.append(args[0]))
        network(GRID)
        handle.remove()
    assert 0.8 < float(seen[0].max()) < 1
    assert -1 < float(seen[0].min()) < -0.8


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_types_become_float32(dtype):
    module = own.chain(nn.Tanh()).to(dtype)
    network = trace(module, [GRID])
    assert network(GRID.double()).dtype == torch.float32
    assert next(module.parameters()).dtype == dtype


def test_wrapped_modules_are_unwrapped():
    module = own.chain(nn.Tanh())
    for wrapped in (nn.DataParallel(module), torch.compile(module)):
        assert "4" in dict(trace(wrapped, [GRID]).named_modules())


def test_the_module_stays_as_it_is():
    module = own.chain(nn.PReLU()).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trace(module, [GRID])
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_any_number_of_samples_afterwards():
    module = own.Pixelwise().eval()
    network = trace(module, [torch.rand(1, 2, 4, 4)])
    x = torch.rand(3, 2, 6, 5)
    with torch.no_grad(), unquantized(network):
        assert torch.allclose(network(x), module(x), atol=1e-4)
