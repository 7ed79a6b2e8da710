# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A quantized INR as few bytes: its integers, and what they mean.

    bytes    content
    0 … 3    "DHQ", and the version of the format, 2
    4 … 11   BLAKE2b of all that follows, 8 bytes
    12 …     header: JSON, deflated with ``DICTIONARY`` known, which a usual one hardly differs from
    …        integers, range-coded (:mod:`dhq_brevitas.util.entropy`)

The header names the family and its numbers, sides, the coordinates' step and bits, the plan of the
layers, and what the caller adds; where all layers are planned alike, their value stands there once.
Tables and an encoding are not stored: the family makes them, and a digest tells whether they have
come out the same. The integers are, in this order: the mantissas of all learned scales m·2^e, then
the exponents, quantizer by quantizer; for every layer its weights, as the quantizer has them, and
its biases in units of the accumulator, both less what the encoding has there; then the caller's.
Mantissas and biases come without the zero bits that end all of them, whose number stands ahead.

Everything in a file is data, checked and bounded before anything is made of it; nothing is run.
"""

import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dhq_brevitas.inr.families import FAMILIES, get_family
from dhq_brevitas.inr.integers import LayerCodes, layer_codes
from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.inr.layers import fold_of
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr, shapes_of_inr
from dhq_brevitas.inr.spec import MAX_LAYERS, InrSpec
from dhq_brevitas.nn.proxies import weight_rotation
from dhq_brevitas.nn.scales import learned_scales, set_scale, step_of
from dhq_brevitas.util.entropy import IntegerReader, IntegerWriter

__all__ = ["Unpacked", "digest_of", "is_packed", "pack_network", "unpack_network"]

MAGIC, VERSION = b"DHQ", 2
DIGEST_BYTES = 8
PREFIX = len(MAGIC) + 1 + DIGEST_BYTES
#: A usual header, part of the format: what is in it takes next to nothing in a file.
DICTIONARY = (
    b'"grid":[[-256,-384],[1,1]],"details":{}},"outputs":"","options":{"fit":{"size":128,"steps":'
    b'1000},"quantize":{"scheme":"auto","qat_steps":0}}{"network":{"hidden":128,"layers":3,'
    b'"in_features":2,"out_features":3,"family":"siren","parameters":{"omega":30.0,"omega_first":'
    b'null}},"coordinates":[0.0026041666666666665,10],"limits":null,"plan":{"rotation":["none",'
    b'"input","input","output","output","after","after","after"],"order":[1,1,4,4,8,8,16,16,32,32],'
    b'"weight_bits":[12,8,8,8,8],"act_bits":[10,8,8,8,8],"granularity":"tensor","granularity":'
    b'"channel","sine_bits":[8,8,8,8,8,null],"scale":"dyadic","scale":"po2","scale":"float",'
    b'"phase_bits":[12,12,12,12,12,null],"signs_seed":null},"tables":"","about":{"signal":{"task":'
    b'"picture","name":"astronaut","shape":[512,768],"samples":{"origin":[0.0,0.0],"spacing":[1.0,'
    b'1.0],"rounding":0.0,"low":-1.0,"high":1.0},"psnr":null}}'
)
RAW = -15  # deflate by itself, without zlib's checksum
#: Bytes of the longest header that is read, weights of the largest network, bits left out.
MAX_HEADER, MAX_WEIGHTS, MAX_ZEROS = 1 << 24, 1 << 26, 48
#: Largest numbers of the network that are read.
MAX_SIDE = {"hidden": 1 << 16, "layers": MAX_LAYERS, "in_features": 64, "out_features": 1 << 16}
#: Of a plan, all that does not follow from the network.
OF_NETWORK = ("name", "in_features", "out_features")
PLANNED = [field.name for field in fields(LayerPlan) if field.name not in OF_NETWORK]
FLOAT32_EXPONENTS, FLOAT32_MANTISSA_BITS = (-149, 127), 24


@dataclass(frozen=True)
class Unpacked:
    """What a file holds.

    Attributes:
        model: the network, settled, on the CPU.
        about: what the caller of :func:`pack_network` added.
        reader: of the caller's integers.
    """

    model: QuantInr
    about: Mapping[str, Any]
    reader: IntegerReader


def pack_network(
    model: QuantInr, about: Mapping[str, Any], integers: Sequence[np.ndarray] = ()
) -> bytes:
    """The content of a file.

    Args:
        model: settled (:func:`dhq_brevitas.quantization.settle.settle`), on the CPU.
        about: JSON that the caller adds to the header; integers: arrays [rows, n] that it adds.

    What it gives is unpacked and compared: RuntimeError, naming the layer, should it differ.
    """
    probe = torch.zeros(1, model.spec.in_features)
    layers, plans = layer_codes(model, probe), model.plans
    header = {
        "network": {n: x for n, x in asdict(model.spec).items() if n != "first_hidden" or x}
        | {"family": get_family(model.spec.family).name},
        "coordinates": [model.coordinate_step, model.coordinate_bits],
        "limits": _once(model.limits),
        "plan": {name: _once([getattr(plan, name) for plan in plans]) for name in PLANNED},
        "tables": _digest_of_family(model, layers),
        "about": about,
    }
    writer = IntegerWriter()
    _write_steps(writer, [step_of(q).detach().numpy().reshape(-1) for q in learned_scales(model)])
    for layer, (weight, bias) in zip(layers, _expected(model), strict=True):
        writer.write(layer.weight - weight)
        _write_multiples(
            writer, layer.bias_codes[None] - np.rint(bias / layer.scale).astype(np.int64)
        )
    for array in integers:
        writer.write(array)
    data = _framed(json.dumps(header, separators=(",", ":"), allow_nan=False), writer.getvalue())
    restored = unpack_network(data, "the packed network", model.spec.family).model
    for one, other in zip(layers, layer_codes(restored, probe), strict=True):
        if not _same(one, other):
            raise RuntimeError(
                f"{one.name}: its integers do not come back from the packed file; nothing is "
                "written, please report this network"
            )
    return data


def unpack_network(data: bytes, source: str, family: str | None = None) -> Unpacked:
    """Inverse of :func:`pack_network`.

    Args:
        data: content of a file; source: its name, for messages.
        family: name, or path of the Python file, of the family to use, which must have the name
            that the file says. None: the registered one of that name.

    Raises ValueError for anything that is no such content, or damaged, and where the family makes
    other tables than those that were packed.
    """
    header, integers = _unframed(data, source)
    try:
        spec, model = _network(header, family)
        reader = IntegerReader(integers)
        layers = _fill(model, reader)
        tables, about = _entry(header, "tables", str), _entry(header, "about", dict)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{source} cannot be unpacked: {error}") from error
    if _digest_of_family(model, layers) != tables:
        raise ValueError(
            f"{source} cannot be unpacked: the family {spec.family!r} makes other tables here than "
            "the packed network had; use the version of the family that it was packed with"
        )
    return Unpacked(model, about, reader)


# -- the frame -------------------------------------------------------------------------------------


def _framed(header: str, integers: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, RAW, zdict=DICTIONARY)
    content = deflate.compress(header.encode()) + deflate.flush() + integers
    return MAGIC + bytes([VERSION]) + _digest(content) + content


def is_packed(path: Path) -> bool:
    """Whether a file begins as a packed network does."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def _unframed(data: bytes, source: str) -> tuple[dict[str, Any], bytes]:
    """(header, coded integers); ValueError unless both are as they were written."""
    if data[: len(MAGIC)] != MAGIC or len(data) < PREFIX:
        raise ValueError(f"{source} is no packed network: make one with dhq pack")
    version, digest = data[len(MAGIC)], data[len(MAGIC) + 1 :][:DIGEST_BYTES]
    if version != VERSION:
        raise ValueError(
            f"{source} has version {version} of the format, and this dhq reads {VERSION}: use the "
            "dhq that packed it"
        )
    content = data[PREFIX:]
    if _digest(content) != digest:
        raise ValueError(f"{source} is damaged: its checksum is wrong; get it again")
    try:
        inflate = zlib.decompressobj(RAW, zdict=DICTIONARY)
        text = inflate.decompress(content, MAX_HEADER)
        if not inflate.eof:
            raise ValueError(f"its header has more than {MAX_HEADER} bytes, or no end")
        header = json.loads(text, parse_constant=_no_number)
    except (zlib.error, ValueError, RecursionError) as error:
        raise ValueError(f"{source} cannot be unpacked: {error}") from error
    if not isinstance(header, dict):
        raise ValueError(f"{source} cannot be unpacked: its header is no object")
    return header, inflate.unused_data


def _no_number(text: str) -> None:
    raise ValueError(f"its header holds {text}")


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def digest_of(codes: Sequence[np.ndarray]) -> str:
    """Of integers, in hexadecimal."""
    return _digest(b"".join(c.astype("<i8").tobytes() for c in codes)).hex()


# -- the header ------------------------------------------------------------------------------------


def _entry(values: Mapping[str, Any], name: str, kind: Any) -> Any:
    """``values[name]``, which must be a ``kind``."""
    value = values.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name}={str(value)[:60]!r} in its header is none")
    return value


def _once(values: Sequence[Any]) -> Any:
    """The one value that all of them are, or all."""
    return values[0] if len(set(values)) == 1 else values


def _column(values: Mapping[str, Any], name: str, count: int) -> list[Any]:
    """Inverse of :func:`_once`."""
    value = values.get(name, [])
    return value if isinstance(value, list) else [value] * count


def _network(header: Mapping[str, Any], family: str | None) -> tuple[InrSpec, QuantInr]:
    """The network of a header, its parameters still to be filled in."""
    given = _entry(header, "network", dict)
    name = _entry(given, "family", str)
    if family is None and name not in FAMILIES:  # such as a Python file, which would be executed
        raise ValueError(
            f"its family {name!r} is not registered: name the Python file that defines it with "
            "--family (in Python, hand it to dhq_brevitas.inr.families.register_family)"
        )
    if family is not None and get_family(family).name != name:
        raise ValueError(
            f"its family is {name!r}, and {family} defines {get_family(family).name!r}"
        )
    sides = {side: _entry(given, side, int) for side in MAX_SIDE}
    for side, most in MAX_SIDE.items():
        if not 1 <= sides[side] <= most:
            raise ValueError(f"{side}={sides[side]} in its header is out of range: 1 to {most}")
    parameters = _entry(given, "parameters", dict)
    for value in parameters.values():
        if value is not None and not _is_number(value):
            raise ValueError(f"parameters={str(parameters)[:60]!r} in its header are no numbers")
    first = given.get("first_hidden")
    spec = InrSpec(family=family or name, parameters=parameters, first_hidden=first, **sides)
    if sum(n * m for n, m in spec.sizes) > MAX_WEIGHTS:
        raise ValueError(f"its header speaks of more than {MAX_WEIGHTS} weights")
    step, bits = _pair(header)
    plans = _plans(_entry(header, "plan", dict), spec, bits)
    return spec, QuantInr(spec, QuantSpec(layers=plans), step, bits, _limits(header, spec))


def _pair(header: Mapping[str, Any]) -> tuple[float, int]:
    """Step and bits of the coordinates."""
    pair = _entry(header, "coordinates", list)
    if len(pair) != 2 or not _is_number(pair[0]) or type(pair[1]) is not int:
        raise ValueError(f"coordinates={str(pair)[:60]!r} in its header are no step and bits")
    return float(pair[0]), pair[1]


def _limits(header: Mapping[str, Any], spec: InrSpec) -> list[float | None]:
    limits = _column(header, "limits", len(spec.activations))
    own = [a.period is not None or a.limit is not None for a in spec.activations]
    if len(limits) != len(own) or not all(
        limit is None if known else _is_number(limit) and limit > 0
        for limit, known in zip(limits, own, strict=True)
    ):
        raise ValueError(f"limits={str(limits)[:60]!r} in its header are none of this network")
    return limits


def _plans(columns: Mapping[str, Any], spec: InrSpec, bits: int) -> tuple[LayerPlan, ...]:
    shapes = shapes_of_inr(spec, bits)
    chosen = {name: _column(columns, name, len(shapes)) for name in PLANNED}
    for name, column in chosen.items():
        if len(column) != len(shapes) or not all(
            value is None or type(value) in (int, str) for value in column
        ):
            raise ValueError(f"{name}={str(column)[:60]!r} in its header is none of this network")
    rows = zip(*chosen.values(), strict=True)
    try:
        return tuple(
            LayerPlan(
                shape.name,
                shape.in_features,
                shape.out_features,
                **dict(zip(PLANNED, row, strict=True)),
            )
            for shape, row in zip(shapes, rows, strict=True)
        )
    except TypeError as error:  # a text where a number belongs
        raise ValueError(f"plan={str(columns)[:60]!r} in its header is none: {error}") from error


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


# -- the integers ----------------------------------------------------------------------------------


def _write_steps(writer: IntegerWriter, steps: Sequence[np.ndarray]) -> None:
    """Positive float32 [n] each, as mantissa · 2^exponent."""
    mantissas, exponents = np.frexp(np.concatenate(steps).astype(np.float64))
    whole = np.ldexp(mantissas, FLOAT32_MANTISSA_BITS).astype(np.int64)
    _write_multiples(writer, whole[None])
    for some in np.split(exponents[None], np.cumsum([s.size for s in steps])[:-1], axis=1):
        writer.write(some)


def _read_steps(reader: IntegerReader, counts: Sequence[int]) -> list[np.ndarray]:
    whole, (low, high) = _read_multiples(reader, sum(counts)), FLOAT32_EXPONENTS
    exponents = np.concatenate([reader.read(1, count)[0] for count in counts])
    within = whole.min() > 0 and whole.max() < 2**FLOAT32_MANTISSA_BITS
    if not within or exponents.min() < low or exponents.max() > high:
        raise ValueError("a scale is out of range")
    steps = np.ldexp(whole.astype(np.float64), exponents - FLOAT32_MANTISSA_BITS)
    return np.split(steps.astype(np.float32), np.cumsum(counts)[:-1])


def _write_multiples(writer: IntegerWriter, values: np.ndarray) -> None:
    """Integers [1, n] without the zero bits that end all of them."""
    bits = int(np.bitwise_or.reduce(values, axis=None)) or 1
    zeros = (bits & -bits).bit_length() - 1
    writer.write(np.array([[zeros]]))
    writer.write(values >> zeros)


def _read_multiples(reader: IntegerReader, count: int) -> np.ndarray:
    if not 0 <= (zeros := int(reader.read(1, 1)[0, 0])) < MAX_ZEROS:
        raise ValueError(f"its integers end with {zeros} zero bits")
    return reader.read(1, count)[0] << zeros


def _expected(model: QuantInr) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight codes [m, n] and biases [m] of every layer that nobody has to store."""
    expected = [(np.zeros(1, dtype=np.int64), np.zeros(1)) for _ in model.linears]
    if model.spec.encoding is not None:
        linear, (weight, bias) = model.linears[0], model.spec.encoding
        fold = fold_of(linear)
        step = step_of(linear.weight_quant.tensor_quant).detach().double()
        codes = torch.round(weight.double() * fold.weight / step.reshape(-1, 1))
        expected[0] = codes.numpy().astype(np.int64), bias.double().numpy() * fold.bias
    return expected


def _fill(model: QuantInr, reader: IntegerReader) -> list[LayerCodes]:
    """Scales, weights and biases; returns the layers' integers."""
    quantizers = list(learned_scales(model))
    steps = _read_steps(reader, [q.scaling_impl.value.numel() for q in quantizers])
    for quantizer, some in zip(quantizers, steps, strict=True):
        shape = quantizer.scaling_impl.value.shape
        set_scale(quantizer, torch.from_numpy(some).reshape(shape))
    biases, expected = [], _expected(model)
    with torch.no_grad():
        for linear, plan, (weight, _) in zip(model.linears, model.plans, expected, strict=True):
            codes = reader.read(plan.out_features, plan.in_features) + weight
            if np.abs(codes).max() >= 2 ** (plan.weight_bits - 1):
                raise ValueError(f"{plan.name}: a weight has more than {plan.weight_bits} bits")
            step = step_of(linear.weight_quant.tensor_quant)
            rotated = torch.from_numpy(codes).float() * step.reshape(-1, 1)
            linear.weight.copy_(weight_rotation(linear).unrotate_weight(rotated))
            linear.bias.zero_()
            biases.append(_read_multiples(reader, plan.out_features))
        probe: Tensor = torch.zeros(1, model.spec.in_features)
        rows = zip(model.linears, layer_codes(model, probe), biases, expected, strict=True)
        for linear, layer, codes, (_, bias) in rows:
            units = codes + np.rint(bias / layer.scale)
            linear.bias.copy_(torch.from_numpy(units * layer.scale))
    model.eval()
    return layer_codes(model, probe)


def _digest_of_family(model: QuantInr, layers: Sequence[LayerCodes]) -> str:
    """Of what its functions make, tables and an encoding: half of the hexadecimal digits."""
    made = [layer.table for layer in layers if layer.table is not None]
    if model.spec.encoding is not None:
        made += [layers[0].weight, layers[0].bias_codes]
    return digest_of(made)[:DIGEST_BYTES]


def _same(one: LayerCodes, other: LayerCodes) -> bool:
    """Whether they multiply, scale and add the same integers; the tables are compared already."""
    pairs = [(one.weight, other.weight), (one.scale, other.scale)]
    pairs.append((one.bias_codes, other.bias_codes))
    return one.requant == other.requant and all(np.array_equal(*pair) for pair in pairs)
