# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What hardware has no layers for is one sentence that names the user's module and what to do."""

import pytest
import torch
from torch import nn

import dhq_brevitas as dhq
from dhq_brevitas.tracing.expressions import Constant, Expression, X, line_of, period_of

POINTS = torch.rand(40, 2, generator=torch.Generator().manual_seed(0))
PICTURES = torch.rand(2, 2, 6, 6)
SEQUENCES = torch.rand(4, 10, 2)


class Own(nn.Module):
    """A linear layer, a part of another kind, and a forward of both."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.a, self.b = nn.Linear(2, 8), nn.Linear(8, 1)
        for name, part in parts.items():
            setattr(self, name, part)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def attention(s, x):
    h = s.a(x)
    return s.b(s.mha(h, h, h)[0])


def branch(s, x):
    if x.mean() > 0:
        return s.a(x)
    return s.b(s.a(x))


def hashed(s, x):
    cells = (x * 8).long()
    return s.b(s.grid[(cells[:, 0] ^ (cells[:, 1] * 2654435761)) % 64])


def written(s, x):
    h = s.a(x)
    h[:, 0] = 1.0
    return s.b(h)


def slope(s, x):
    with torch.enable_grad():
        x = x.requires_grad_(True)
        return torch.autograd.grad(s.b(s.a(x).sin()).sum(), x)[0]


def between(*parts):
    return nn.Sequential(nn.Linear(2, 8), nn.ModuleDict({"inner": parts[0]})["inner"], *parts[1:])


CASES = [
    (between(nn.LayerNorm(8)), POINTS, r"1 \(LayerNorm\): .*statistic of each sample.*BatchNorm"),
    (nn.Conv2d(2, 4, 3, padding=1), PICTURES, r"Conv2d: conv2d looks at neighboring .* 1 x 1"),
    (nn.Sequential(nn.Conv2d(2, 4, 1, stride=2)), PICTURES, r"0 \(Conv2d\): conv2d looks"),
    (
        Own(lambda s, x: s.b(s.rnn(x)[0]), rnn=nn.LSTM(2, 8, batch_first=True)),
        SEQUENCES,
        r"rnn \(LSTM\): lstm carries a state from sample to sample; use layers",
    ),
    (
        Own(attention, mha=nn.MultiheadAttention(8, 2, batch_first=True)),
        SEQUENCES,
        r"mha \(MultiheadAttention\): bmm multiplies two results with each other",
    ),
    (
        Own(lambda s, x: s.b(s.table((x[:, 0] * 63).long())), table=nn.Embedding(64, 8)),
        POINTS,
        r"table \(Embedding\): embedding looks numbers up .* leave it to the host",
    ),
    (Own(hashed, grid=nn.Parameter(torch.randn(64, 8))), POINTS, "Own: .*hash.*leave it to the"),
    (Own(branch), POINTS, r"Own cannot be traced, line \d+ of .*: `if x.mean\(\) > 0:`: .*where"),
    (
        Own(lambda s, x: torch.from_numpy(s.a(x).numpy())),
        POINTS,
        r"Own cannot be traced, line \d+ .*numpy.* use PyTorch operations on tensors only",
    ),
    (Own(lambda s, x: s.a(x) * x.max().item()), POINTS, "Own: max is neither linear nor"),
    (Own(lambda s, x: s.a(x + torch.randn_like(x))), POINTS, "randn_like draws random numbers"),
    (Own(written), POINTS, "select_scatter writes into parts of a tensor; build"),
    (Own(lambda s, x: s.a(x - x.mean(0))), POINTS, "Own: mean adds up over samples"),
    (
        Own(lambda s, x: torch.maximum(s.a(x), torch.arange(8.0))),
        POINTS,
        "maximum is another function in each channel",
    ),
    (between(nn.Softmax(-1)), POINTS, r"1 \(Softmax\): softmax divides by a sum"),
    (
        between(nn.BatchNorm1d(8, track_running_stats=False)),
        POINTS,
        r"1 \(BatchNorm1d\): .*statistics from the batch; use running statistics",
    ),
    (Own(lambda s, x: torch.log(s.a(x))), POINTS, r"log\(x\) is not finite at x = -"),
    (nn.Identity(), POINTS, "only hands its inputs on; there is nothing to quantize"),
    (nn.Linear(3, 2), POINTS, r"Linear does not run on inputs of shape \[\d+, 2\]"),
    (nn.Linear(2, 2), torch.rand(2), r"inputs of shape \[2\] has no axis of samples; give it as"),
    (nn.Linear(2, 2), (POINTS, torch.tensor(2.0)), r"inputs\[1\] is one number, without samples"),
    (nn.LazyLinear(3), POINTS, "weight has no shape yet; call the module once"),
    (Own(lambda s, x: s.a(x) > 0), POINTS, "output 0 of the module is true or false; return the"),
    (Own(slope), POINTS, "Own cannot be traced: it takes a derivative, .* outside of forward"),
    (nn.Bilinear(2, 2, 1), (POINTS, POINTS), "Bilinear: bilinear multiplies every channel"),
    (nn.Linear(2, 2), torch.rand(0, 2), r"inputs of shape \[0, 2\] holds no samples"),
    (nn.Linear(2, 2), POINTS / 0, "inputs holds NaN or infinity; remove those samples"),
    (nn.Linear(2, 2), [], "inputs is empty; give a tensor"),
]


@pytest.mark.parametrize(("module", "inputs", "message"), CASES)
def test_one_sentence(module, inputs, message, capfd):
    with pytest.raises(ValueError, match=message) as caught:
        dhq.quantize(module.eval(), inputs, progress=False)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")  # whatever the exporter would print


def test_parameters_that_are_not_finite_are_named():
    module = nn.Sequential(nn.Linear(2, 2), nn.PReLU())
    module[1].weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"1\.weight holds NaN or infinity"):
        dhq.quantize(module, POINTS)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.jit")
def test_other_kinds_of_arguments():
    with pytest.raises(TypeError, match="module is TorchScript"):
        dhq.quantize(torch.jit.trace(nn.Linear(2, 2), POINTS), POINTS)
    with pytest.raises(TypeError, match="module is an exported program, whose mode is fixed"):
        dhq.quantize(torch.export.export(nn.Linear(2, 2), (POINTS,)).module(), POINTS)
    with pytest.raises(TypeError, match=r"inputs must be a torch\.Tensor of samples, not nd"):
        dhq.quantize(nn.Linear(2, 2), [POINTS.numpy()])
    quantized = dhq.quantize(nn.Linear(2, 2), POINTS, progress=False)
    with pytest.raises(ValueError, match="made for 2 axes with 2 channels on axis 1"):
        quantized(torch.rand(4, 3))
    with pytest.raises(TypeError, match="2 inputs given; the network takes 1 tensors"):
        quantized(POINTS, POINTS)
    with pytest.raises(ValueError, match=r"target must be like the outputs, of shapes \[40, 2\]"):
        dhq.quantize(nn.Linear(2, 2), POINTS, target=torch.zeros(40, 3), progress=False)


def test_periods_and_lines_are_read_from_the_structure():
    sine = Expression("sin.default", (X.scaled(30.0, 1.0),))
    assert line_of(X.scaled(30.0, 1.0)) == (30.0, 1.0)
    assert line_of(sine) is None
    assert period_of(sine) == pytest.approx(2 * torch.pi / 30)
    assert period_of(Expression("tanh.default", (sine,))) == period_of(sine)
    assert period_of(Expression("mul.Tensor", (sine, X))) is None
    slower = Expression("cos.default", (X.scaled(20.0, 0.0),))
    both = Expression("add.Tensor", (sine, slower))
    assert period_of(both) == pytest.approx(2 * torch.pi / 10)
    odd = Expression("cos.default", (X.scaled(20.0 * 2**0.5, 0.0),))
    assert period_of(Expression("add.Tensor", (sine, odd))) is None
    assert period_of(Expression("maximum.default", (sine, Constant(0.5)))) == period_of(sine)
