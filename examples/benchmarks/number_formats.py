# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Number formats and rotations for the weights of float networks, rounded to nearest.

    python examples/benchmarks/number_formats.py astronaut chelsea --families siren wire relu

For each picture and family a float network is fitted (and kept in ``--out``). Then the weights of
all layers behind the first are rounded to each format, as they are and rotated: W Q is rounded, Q
orthogonal, and the layer multiplies with (W Q) Qᵀ. Nothing else is quantized. Printed are, for each
format and rotation, the picture's PSNR and the mean signal-to-noise ratio (SQNR) of these weights,
both in dB, means over the pictures.

* ``int``, ``int, a tensor``: integers, scales a channel or a tensor of least squared error;
* ``minifloat``: E2M1 at 4 bits, E2M3 and E3M2 at 6, E4M3 at 8 (OCP), scales of least squared error;
* ``MX int``, ``MX float``: the same in groups of 32 inputs that share a power of two;
* ``codebook``: 2^bits values a layer by Lloyd's algorithm, rows divided by their deviation.

Rotations: ``hadamard`` is the package's; ``haar`` the orthogonal Haar transform; ``random`` a
random orthogonal matrix; ``klt`` the eigenvectors of the layer's inputs, the best that is known for
the inputs (a dense product in hardware). ``permuted`` sorts the inputs by the size of their weights
and deals them out to blocks of 16, which are rotated (after PeRQ, arXiv:2601.22347).
"""

import argparse
import copy
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.core.function_wrapper.ops_ste import CeilSte
from brevitas.quant import (
    Int8WeightPerChannelFloatMSE,
    Int8WeightPerTensorFloatMSE,
)
from brevitas.quant.float_quant_ocp import FpOCPWeightPerChannelFloatMSE
from brevitas.quant.mx_quant_ocp import MXFloat8e4m3Weight, MXInt8Weight
from torch import Tensor

import dhq_brevitas as dhq
from dhq_brevitas.nn.hadamard import hadamard_matrix, largest_order
from dhq_brevitas.planning.sensitivity import Probe
from dhq_brevitas.signals.metrics import psnr
from quality.baselines import clustered
from quality.pictures import fit_picture
from quality.report import markdown

BLOCK = 16
SAMPLES = 4096
# Exponent and mantissa bits, beside the sign.
MINIFLOATS = {4: [(2, 1)], 6: [(2, 3), (3, 2)], 8: [(4, 3)]}
Format = Callable[[Tensor], Tensor]


class MXInt(MXInt8Weight):
    """MX integers whose largest fits: Brevitas's own are cut at the power of two below it.

    On normally distributed weights that leaves 16 dB at 8 bits, where OCP's MXINT8 keeps 42.
    """

    restrict_value_float_to_int_impl = CeilSte


def formats(bits: int) -> dict[str, Format]:
    """What rounds a weight [m, n] to each format of ``bits`` bits."""
    found: dict[str, Format] = {
        "int": partial(by_brevitas, Int8WeightPerChannelFloatMSE, bit_width=bits),
        "int, a tensor": partial(by_brevitas, Int8WeightPerTensorFloatMSE, bit_width=bits),
        "MX int": partial(by_brevitas, MXInt, bit_width=bits),
    }
    for exponent, mantissa in MINIFLOATS.get(bits, []):
        shape = {"exponent_bit_width": exponent, "mantissa_bit_width": mantissa, "bit_width": bits}
        name = f"E{exponent}M{mantissa}"
        found[f"minifloat {name}"] = partial(by_brevitas, FpOCPWeightPerChannelFloatMSE, **shape)
        found[f"MX {name}"] = partial(by_brevitas, MXFloat8e4m3Weight, **shape)
    return found | {"codebook": partial(by_codebook, bits)}


def by_brevitas(quantizer: type, weight: Tensor, **options: int) -> Tensor:
    """``weight`` [m, n] as a QuantLinear with this injector rounds it."""
    given = {f"weight_{name}": value for name, value in options.items()}
    layer = qnn.QuantLinear(*weight.T.shape, bias=False, weight_quant=quantizer, **given)
    layer.weight.data.copy_(weight)
    return layer.eval().quant_weight().value.detach()


def by_codebook(bits: int, weight: Tensor) -> Tensor:
    """2^bits values for all of ``weight`` [m, n], each row in units of its deviation."""
    deviation = weight.std(dim=1, keepdim=True).clamp_min(1e-12)
    return clustered(weight / deviation, 2**bits) * deviation


def rotations(weight: Tensor, inputs: Tensor) -> dict[str, Tensor]:
    """Orthogonal matrices [n, n] for a layer's weight [m, n] and inputs [N, n]."""
    size = weight.shape[1]
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(size, size, generator=generator, dtype=torch.float64)
    centered = (inputs - inputs.mean(dim=0)).double()
    order = largest_order(size)
    blocks = torch.block_diag(*[orthonormal(order)] * (size // order))
    small = torch.block_diag(*[orthonormal(min(BLOCK, order))] * (size // min(BLOCK, order)))
    # Block b takes the b-th, (b + blocks)-th, ... of the inputs by size.
    by_size = torch.argsort(weight.square().sum(dim=0), descending=True)
    dealt = by_size.reshape(min(BLOCK, order), -1).T.flatten()
    return {
        "none": torch.eye(size, dtype=torch.float64),
        "hadamard": blocks,
        "blocks of 16": small,
        "blocks of 16, permuted": torch.eye(size, dtype=torch.float64)[dealt].T @ small,
        "haar": torch.block_diag(*[haar(order).T] * (size // order)),
        "random": torch.linalg.qr(drawn).Q,
        "klt": torch.linalg.eigh(centered.T @ centered).eigenvectors,
    }


def orthonormal(order: int) -> Tensor:
    """The Hadamard matrix of ``order``, float64, with rows of length 1."""
    return hadamard_matrix(order).double() / order**0.5


def haar(order: int) -> Tensor:
    """The Haar matrix [order, order], a power of two, float64, its rows of length 1."""
    if order == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    mean, difference = torch.tensor([[[1.0, 1.0]], [[1.0, -1.0]]], dtype=torch.float64)
    means = torch.kron(haar(order // 2), mean)
    differences = torch.kron(torch.eye(order // 2, dtype=torch.float64), difference)
    return torch.cat([means, differences]) / 2**0.5


def fitted(picture: str, family: str, args: argparse.Namespace) -> dhq.Fitted:
    """The float network, made once."""
    file = args.out / f"{Path(picture).stem}-{family}-{args.size}-{args.hidden}-{args.steps}.pt"
    if not file.exists():
        shape = {"family": family, "hidden": args.hidden}
        made = fit_picture(picture, args.size, **shape, steps=args.steps)
        file.parent.mkdir(parents=True, exist_ok=True)
        made.save(file)
    return dhq.Fitted.load(file)


@torch.no_grad()
def rows(net: dhq.Fitted, bits: int) -> Iterator[tuple[str, str, float, float]]:
    """(format, rotation, mean SQNR of the weights in dB, PSNR of the picture in dB)."""
    x = torch.from_numpy(net.codes).float() * net.grid.step
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:SAMPLES]
    inputs = Probe(net.network, x[chosen]).inputs_of[1:]
    weights = [linear.weight for linear in net.network.linears[1:]]
    turns = [rotations(*pair) for pair in zip(weights, inputs, strict=True)]
    for (name, rounded_to), rotation in itertools.product(formats(bits).items(), turns[0]):
        network = copy.deepcopy(net.network)
        ratios = []
        for linear, turn in zip(network.linears[1:], turns, strict=True):
            matrix = turn[rotation]
            rotated = (linear.weight.double() @ matrix).float()
            rounded = rounded_to(rotated)
            ratio = rotated.square().sum() / (rotated - rounded).square().sum()
            ratios.append(10 * float(torch.log10(ratio)))
            linear.weight.copy_((rounded.double() @ matrix.T).float())
        quality = psnr(net.target, network(x).numpy())
        yield name, rotation, sum(ratios) / len(ratios), quality


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a name or a file")
    parser.add_argument("--out", type=Path, default=Path("runs/formats"), help="for networks")
    parser.add_argument("--families", nargs="+", default=["siren"], metavar="FAMILY")
    parser.add_argument("--size", type=int, default=128, help="longer side (default 128)")
    parser.add_argument("--hidden", type=int, default=128, help="width (default 128)")
    parser.add_argument("--steps", type=int, default=2000, help="of the fit (default 2000)")
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 6, 8], metavar="BITS")
    args = parser.parse_args()

    for family, bits in itertools.product(args.families, args.bits):
        nets = [fitted(picture, family, args) for picture in args.pictures]
        print(table(family, bits, nets), flush=True)


def table(family: str, bits: int, nets: list[dhq.Fitted]) -> str:
    """Markdown, a row a format, a column a rotation: means over networks of PSNR (SQNR)."""
    cells: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for net in nets:
        for name, rotation, ratio, quality in rows(net, bits):
            cells.setdefault(name, {}).setdefault(rotation, []).append((quality, ratio))
    names = list(cells["int"])
    level = np.mean([net.psnr for net in nets])
    lines = [["format", *names]]
    for name, row in cells.items():
        means = [np.mean(row[rotation], axis=0) for rotation in names]
        lines.append([name, *(f"{quality:.2f} ({ratio:.1f})" for quality, ratio in means)])
    return f"\n{family}, {bits} bits, float {level:.2f}: PSNR (SQNR) in dB\n\n{markdown(lines)}"


if __name__ == "__main__":
    main()
