# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks for arrays of one's own: coordinates and values in, a network out, float or quantized.

>>> import numpy as np
>>> import dhq_brevitas as dhq
>>> coordinates = np.linspace(0, 1, 64)
>>> values = np.sin(9 * coordinates)
>>> fitted = dhq.fit(coordinates, values, hidden=8, layers=1, steps=20, progress=False)
>>> quantized = fitted.quantize(steps=0, progress=False)
>>> quantized(coordinates).shape            # in the units of values
(64, 1)
>>> graph = quantized.export()              # QONNX; quantized.build(folder) goes on to FINN
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dhq_brevitas.inr.families import FAMILIES, get_family
from dhq_brevitas.inr.integers import evaluate
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.packed import pack_network, unpack_network
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import TrainSpec, evaluated_psnr, fit_float
from dhq_brevitas.quantization.fine_tuning import fine_tuning_rate
from dhq_brevitas.quantization.narrowing import kept_neurons, narrowed
from dhq_brevitas.quantization.recipe import (
    FINE_TUNING_BATCH,
    FINE_TUNING_STEPS,
    quantize_in_place,
)
from dhq_brevitas.run import backends
from dhq_brevitas.signals.grid import CoordinateGrid, as_array, points_of
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.util.device import resolve_device
from dhq_brevitas.util.errors import ArgumentError
from dhq_brevitas.util.files import atomic_path, check_regular_file
from dhq_brevitas.util.hooks import evaluated
from dhq_brevitas.util.states import load_tensors, save_tensors

__all__ = ["Fitted", "Quantized", "fit", "unpack"]

# Of the files of Fitted.save.
FORMAT = "dhq_brevitas fitted 2"
NUMBERS = ("low", "high", "psnr", "learning_rate")


@dataclass(frozen=True)
class Fitted:
    """A float network for samples; see :func:`fit`.

    ``network`` maps codes · grid.step to values scaled to [-1, 1]; calling this object does the
    scaling. ``psnr`` in dB is over all samples, peak = the range of the values. ``learning_rate``
    is that of the fit; fine-tuning's follows from it.
    """

    network: Inr
    grid: CoordinateGrid
    low: float
    high: float
    codes: np.ndarray
    target: np.ndarray
    psnr: float
    learning_rate: float

    def __call__(self, coordinates: np.ndarray) -> np.ndarray:
        """Values float32 [N, c] at coordinates [N] or [N, d]."""
        inputs = torch.from_numpy(self.grid.codes(coordinates)).float() * self.grid.step
        return _from_unit(evaluated(self.network, inputs).numpy(), self.low, self.high)

    def quantize(
        self,
        quant: QuantSpec | None = None,
        steps: int = FINE_TUNING_STEPS,
        learning_rate: float | None = None,
        batch: int = FINE_TUNING_BATCH,
        seed: int = 0,
        progress: bool = True,
        device: str = "cpu",
    ) -> "Quantized":
        """Quantizes (default W8A8), fine-tunes for ``steps`` and settles a copy of the network.

        With ``quant.layers`` that have fewer neurons in the first hidden layer it is
        :meth:`narrowed` to them.
        ``learning_rate`` is a twentieth of the fit's at 8 bits, a fifth at 4, unless given. As
        ``dhq quantize`` does (:func:`dhq_brevitas.quantization.recipe.quantize_in_place`).

        >>> spec = dhq.QuantSpec(weight_bits=6, rotation="after")
        >>> quantized = fitted.quantize(spec, steps=0, progress=False)
        >>> [plan.weight_bits for plan in quantized.model.plans]
        [12, 6]
        """
        on = resolve_device(device)
        if quant is not None and not isinstance(quant, QuantSpec):
            raise ArgumentError("quant", quant, "must be a QuantSpec, for example QuantSpec()")
        quant = quant or QuantSpec()
        inputs = torch.from_numpy(self.codes).float()
        kept = kept_neurons(self.network.spec, quant.layers)
        network = self.network
        if kept is not None:
            network = narrowed(network, inputs * self.grid.step, kept)
        model = QuantInr.from_float(network, quant, self.grid.step, self.grid.bits, inputs).to(on)
        if learning_rate is None:
            learning_rate = fine_tuning_rate(self.learning_rate, quant, steps)
        training = TrainSpec(steps, batch, learning_rate, seed=seed)
        target = torch.from_numpy(self.target).to(on)
        quantize_in_place(model, inputs.to(on), target, training, progress=progress)
        model.cpu()
        outputs = evaluate(model, inputs).outputs
        return Quantized(model, self.grid, self.low, self.high, psnr(self.target, outputs))

    def narrowed(self, first_hidden: int) -> "Fitted":
        """The same with so many neurons in the first hidden layer: those that are replaced best go.

        See :func:`dhq_brevitas.quantization.narrowing.narrowed`. Raises ValueError unless it is
        fewer than the layer has, and at least 1.

        >>> fitted.narrowed(6).network.spec.sizes
        [(1, 6), (6, 1)]
        """
        inputs = torch.from_numpy(self.codes).float() * self.grid.step
        network = narrowed(self.network, inputs, first_hidden)
        quality = evaluated_psnr(network, inputs, torch.from_numpy(self.target), None)
        return replace(self, network=network, psnr=quality)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all of it to one file, whole or not at all; see :meth:`load`.

        >>> fitted.save("ring.pt")
        """
        spec = self.network.spec
        state = {
            "format": FORMAT,
            "spec": {
                **asdict(spec),
                "family": get_family(spec.family).name,
                "parameters": dict(spec.parameters),
            },
            "network": self.network.state_dict(),
            "grid": {
                name: value.tolist() if isinstance(value, np.ndarray) else value
                for name, value in vars(self.grid).items()
            },
            "codes": torch.from_numpy(self.codes),
            "target": torch.from_numpy(self.target),
            **{name: getattr(self, name) for name in NUMBERS},
        }
        save_tensors(path, state)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Fitted":
        """Reads what :meth:`save` wrote; no code in the file is run.

        A family of your own must have been registered
        (:func:`dhq_brevitas.inr.families.register_family`). Raises ValueError for another file.

        >>> fitted.save("ring.pt")
        >>> again = dhq.Fitted.load("ring.pt")
        >>> bool((again(coordinates) == fitted(coordinates)).all())
        True
        """
        try:
            state = load_tensors(path)
        except ValueError as error:
            raise ValueError(f"{path} is not a file of Fitted.save, or damaged") from error
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise ValueError(f"{path} is not a file of Fitted.save of this version")
        try:
            family = state["spec"]["family"]
            if family not in FAMILIES:  # such as a Python file, which would be executed
                raise ValueError(
                    f"{path} has the family {family!r}, which is not registered: hand it to "
                    "dhq_brevitas.inr.families.register_family first"
                )
            network = Inr(InrSpec(**state["spec"]))
            network.load_state_dict(state["network"])
            grid = state["grid"] | {n: np.array(state["grid"][n]) for n in ("origin", "spacing")}
            return cls(
                network,
                CoordinateGrid(**grid),
                codes=state["codes"].numpy(),
                target=state["target"].numpy(),
                **{name: float(state[name]) for name in NUMBERS},
            )
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(f"{path} is not a file of Fitted.save, or damaged") from error


@dataclass(frozen=True)
class Quantized:
    """A quantized network for samples.

    ``model`` is a module of Brevitas layers that takes :meth:`inputs`. ``psnr`` in dB is over the
    samples it was fitted to, peak = the range of the values.
    """

    model: QuantInr
    grid: CoordinateGrid
    low: float
    high: float
    psnr: float

    def inputs(self, coordinates: np.ndarray) -> Tensor:
        """What the model takes: codes as float32 [N, d]."""
        return torch.from_numpy(self.grid.codes(coordinates)).float()

    def __call__(self, coordinates: np.ndarray) -> np.ndarray:
        """Values float32 [N, c] at coordinates [N] or [N, d]."""
        return _from_unit(
            evaluate(self.model, self.inputs(coordinates)).outputs, self.low, self.high
        )

    def export(self, path: str | os.PathLike[str] | None = None) -> Any:
        """The QONNX graph (a ``ModelWrapper``), written to ``path`` if one is given.

        See :func:`dhq_brevitas.export.export_qonnx`.

        >>> graph = quantized.export("ring.onnx")
        >>> [node.op_type for node in graph.graph.node if node.op_type == "HadamardTransform"]
        ['HadamardTransform']
        """
        features = self.model.linears[0].in_features
        return backends.export(self.model, torch.zeros(1, features), path)

    def build(self, folder: str | os.PathLike[str], **options: Any) -> Any:
        """The FINN dataflow graph, in ``folder``.

        ``options`` and result are those of :func:`dhq_brevitas.finn_flow.build_dataflow`. Raises
        ModuleNotFoundError, with what to install, without FINN.

        >>> result = quantized.build("build", cycles_per_sample=64)
        >>> result.report["cycles_per_sample_estimate"] <= 64
        True
        """
        return backends.build(self.export(), folder, **options)

    def pack(self, path: str | os.PathLike[str]) -> int:
        """Writes all integers of the network to one small file; returns its bytes.

        :func:`unpack` reads it. See :mod:`dhq_brevitas.inr.packed` for what is in it.

        >>> quantized.pack("ring.dhq") < 1000
        True
        """
        grid = {name: getattr(self.grid, name).tolist() for name in ("origin", "spacing")}
        samples = {**grid, "rounding": self.grid.rounding, "low": self.low, "high": self.high}
        quality = self.psnr if np.isfinite(self.psnr) else None
        data = pack_network(self.model, {"samples": samples, "psnr": quality})
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
        return len(data)


def unpack(path: str | os.PathLike[str]) -> Quantized:
    """The network of a file that :meth:`Quantized.pack` or ``dhq pack`` wrote; no code is run.

    That of ``dhq pack`` takes the codes of its grid as coordinates, and gives values in [-1, 1].
    ``psnr`` is the one that the file says, NaN where it says none. A family of your own must have
    been registered (:func:`dhq_brevitas.inr.families.register_family`). Raises ValueError for
    another file, or a damaged one.

    >>> size = quantized.pack("ring.dhq")
    >>> again = dhq.unpack("ring.dhq")
    >>> bool((again(coordinates) == quantized(coordinates)).all())
    True
    """
    check_regular_file(path)
    unpacked = unpack_network(Path(path).read_bytes(), str(path))
    model, about = unpacked.model, unpacked.about
    axes, quality = model.spec.in_features, about.get("psnr")
    codes = {"origin": [0.0] * axes, "spacing": [1.0] * axes}
    samples = about.get("samples", {**codes, "rounding": 0.0, "low": -1.0, "high": 1.0})
    try:
        origin, spacing = (np.array(samples[n], dtype=np.float64) for n in ("origin", "spacing"))
        rounding, low, high = (float(samples[n]) for n in ("rounding", "low", "high"))
        quality = float("nan") if quality is None else float(quality)
        if not origin.shape == spacing.shape == (axes,):
            raise ValueError(f"they have not {axes} axes")
        if not np.isfinite([*origin, *spacing, rounding, low, high]).all() or spacing.min() <= 0:
            raise ValueError("they are out of range")
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} cannot be unpacked: its samples are none: {error}") from error
    grid = CoordinateGrid(origin, spacing, model.coordinate_step, model.coordinate_bits, rounding)
    return Quantized(model, grid, low, high, quality)


def fit(
    coordinates: np.ndarray,
    values: np.ndarray,
    *,
    family: str = "siren",
    hidden: int = 128,
    layers: int = 3,
    parameters: Mapping[str, float] | None = None,
    steps: int = 3000,
    learning_rate: float | None = None,
    batch: int = 4096,
    seed: int = 0,
    progress: bool = True,
    device: str = "cpu",
) -> Fitted:
    """Fits a network to samples of any signal: values[i] at coordinates[i].

    Args:
        coordinates: [N] or [N, d], integers or floats, in any units. Points of a regular grid stay
            exact; scattered ones are rounded to 12 bits an axis. Grid points are taken to be as far
            apart on every axis, as pixels are.
        values: [N] or [N, c], finite, of any range.
        family, parameters: an INR family and its numbers, see :mod:`dhq_brevitas.inr.families`.
        hidden, layers: width and number of hidden layers.
        steps, learning_rate, batch, seed: of the training; the learning rate is the family's for
            this width unless given.
        progress: show a bar.
        device: "cpu", "cuda", or "auto": CUDA where it is. The result is on the CPU.

    Raises ValueError for arrays that do not fit together, NaN, infinity, or constant values.

    >>> fitted = fit(coordinates, values, hidden=8, layers=1, steps=2, progress=False)
    >>> fitted(coordinates).shape
    (64, 1)
    """
    points = points_of(coordinates)
    samples = _samples(values, len(points))
    low, high = float(samples.min()), float(samples.max())
    if low == high:
        raise ValueError(f"values are all {low:g}; there is nothing to fit")
    grid = CoordinateGrid.of(points)
    codes = grid.codes(points)
    target = ((samples.astype(np.float64) - low) * (2 / (high - low)) - 1).astype(np.float32)
    spec = InrSpec(
        hidden=hidden,
        layers=layers,
        in_features=points.shape[1],
        out_features=target.shape[1],
        family=family,
        parameters=parameters or {},
    )
    on = resolve_device(device)
    rate = get_family(family).rate(hidden) if learning_rate is None else learning_rate
    training = TrainSpec(steps, batch, rate, seed=seed)
    network = Inr(spec, seed).to(on)
    inputs = (torch.from_numpy(codes).float() * grid.step).to(on)
    goal = torch.from_numpy(target).to(on)
    trained = fit_float(network, inputs, goal, training, progress=progress)
    return Fitted(network.cpu(), grid, low, high, codes, target, trained.psnr, rate)


def _samples(values: np.ndarray, points: int) -> np.ndarray:
    """Values as numbers [points, channels]; ValueError for anything else."""
    samples = as_array(values)
    samples = samples[:, None] if samples.ndim == 1 else samples
    fits = samples.ndim == 2 and len(samples) == points and samples.size > 0
    if not fits or samples.dtype.kind not in "iuf":
        raise ValueError(
            f"values of shape {np.shape(values)} must be numbers [{points}] or "
            f"[{points}, channels], a row for each of the coordinates"
        )
    if not np.isfinite(samples).all():
        raise ValueError("values hold NaN or infinity; remove those samples")
    return samples


def _from_unit(outputs: np.ndarray, low: float, high: float) -> np.ndarray:
    return ((outputs.astype(np.float64) + 1) * ((high - low) / 2) + low).astype(np.float32)
