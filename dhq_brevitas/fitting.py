# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks for arrays of one's own: coordinates and values in, a network out, float or quantized.

>>> import dhq_brevitas as dhq
>>> fitted = dhq.fit(coordinates, values, family="finer", hidden=64)
>>> quantized = fitted.quantize()
>>> quantized(coordinates)            # in the units of values
>>> export_qonnx(quantized.model, "model.onnx", args=quantized.inputs(coordinates[:1]))
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dhq_brevitas.inr.families import get_family
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.layer_plan import MAX_COORDINATE_BITS
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.training import TrainSpec, fit_float
from dhq_brevitas.quantize.fine_tuning import fine_tuning_rate, freeze_quantized
from dhq_brevitas.quantize.post_training import post_train
from dhq_brevitas.quantize.settle import finalise
from dhq_brevitas.inr.integers import evaluate
from dhq_brevitas.signals.grid import code_bits
from dhq_brevitas.signals.metrics import psnr

__all__ = ["CoordinateGrid", "Fitted", "Quantized", "fit"]

SCATTERED_BITS = 12
# Coordinates this far from a grid point, in units of the spacing, are still taken to be on it.
GRID_TOLERANCE = 1e-3


@dataclass(frozen=True)
class CoordinateGrid:
    """Coordinates as integers: code = round((coordinate - origin) / spacing), for each axis.

    Attributes:
        origin, spacing: float64 [d].
        step: float coordinate of the network for one code: the longest axis spans about [-1, 1].
        bits: signed bits that hold the codes it was made for.
        rounding: largest distance of a coordinate from its grid point, in spacings; 0 on a grid.
    """

    origin: np.ndarray
    spacing: np.ndarray
    step: float
    bits: int
    rounding: float

    @classmethod
    def of(cls, coordinates: np.ndarray) -> "CoordinateGrid":
        """The grid of coordinates [N, d].

        An axis whose values are multiples of one spacing keeps them, exactly. Scattered values are
        rounded to 12 bits.
        """
        axes = [_axis(column) for column in coordinates.T]
        origin, spacing = (np.array(part) for part in zip(*axes, strict=True))
        exact = (coordinates - origin) / spacing
        codes = np.rint(exact).astype(np.int64)
        extent = int((codes.max(axis=0) - codes.min(axis=0)).max()) + 1
        rounding = float(np.abs(exact - codes).max())
        return cls(
            origin,
            spacing,
            2.0 / extent,
            code_bits(codes),
            0.0 if rounding <= GRID_TOLERANCE else rounding,
        )

    def codes(self, coordinates: np.ndarray) -> np.ndarray:
        """int64 [N, d]; ValueError if one does not fit ``bits``."""
        points = _points(coordinates)
        if points.shape[1] != len(self.origin):
            raise ValueError(
                f"coordinates of shape {np.shape(coordinates)} have {points.shape[1]} axes, the "
                f"network has {len(self.origin)}"
            )
        codes = np.rint((points - self.origin) / self.spacing).astype(np.int64)
        if code_bits(codes) > self.bits:
            low, high = (
                self.origin + self.spacing * end
                for end in (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
            )
            raise ValueError(
                f"coordinates leave the range of the network, {low.tolist()} to {high.tolist()}"
            )
        return codes


def _points(coordinates: np.ndarray) -> np.ndarray:
    """Coordinates as float64 [N, d]; ValueError for anything else."""
    array = np.asarray(coordinates)
    points = array[:, None] if array.ndim == 1 else array
    if points.ndim != 2 or points.size == 0 or array.dtype.kind not in "iuf":
        raise ValueError(
            f"coordinates of shape {array.shape} and type {array.dtype} must be numbers [N] or "
            "[N, axes], a row for each sample"
        )
    points = points.astype(np.float64)
    if not np.isfinite(points).all():
        raise ValueError("coordinates hold NaN or infinity; remove those samples")
    return points


def _axis(values: np.ndarray) -> tuple[float, float]:
    """(origin, spacing) of one axis: its middle grid point has code 0."""
    distinct = np.unique(values)
    if len(distinct) == 1:
        return float(distinct[0]), 1.0
    extent = float(distinct[-1] - distinct[0])
    spacing = float(np.diff(distinct).min())
    if extent / spacing < 2**MAX_COORDINATE_BITS:
        # From the whole extent, so that the rounding of one difference does not add up.
        spacing = extent / round(extent / spacing)
        steps = (distinct - distinct[0]) / spacing
        if np.abs(steps - np.rint(steps)).max() <= GRID_TOLERANCE:
            return float(distinct[0] + spacing * ((round(extent / spacing) + 1) // 2)), spacing
    spacing = extent / (2**SCATTERED_BITS - 1)
    return float(distinct[0] + spacing * 2 ** (SCATTERED_BITS - 1)), spacing


@dataclass(frozen=True)
class Fitted:
    """A float network for samples; see :func:`fit`.

    ``network`` maps codes · grid.step to values scaled to [-1, 1]; calling this object does the
    scaling. ``psnr`` in dB is over all samples, peak = the range of the values.
    """

    network: Inr
    grid: CoordinateGrid
    low: float
    high: float
    codes: np.ndarray
    target: np.ndarray
    psnr: float

    def __call__(self, coordinates: np.ndarray) -> np.ndarray:
        """Values float32 [N, c] at coordinates [N] or [N, d]."""
        inputs = torch.from_numpy(self.grid.codes(coordinates)).float() * self.grid.step
        with torch.no_grad():
            return _from_unit(self.network(inputs).numpy(), self.low, self.high)

    def quantize(
        self,
        quant: QuantSpec | None = None,
        steps: int = 600,
        learning_rate: float | None = None,
        batch: int = 8192,
        seed: int = 0,
        progress: bool = True,
    ) -> "Quantized":
        """Quantizes (default W8A8), fine-tunes for ``steps`` and settles a copy of the network.

        As ``dhq quantize`` does: :func:`dhq_brevitas.quantize.post_training.post_train`, then
        :func:`dhq_brevitas.quantize.fine_tuning.freeze_quantized`.
        """
        inputs = torch.from_numpy(self.codes).float()
        model = QuantInr.from_float(
            self.network, quant or QuantSpec(), self.grid.step, self.grid.bits, inputs
        )
        post = post_train(model, self.network, inputs, inputs * self.grid.step)
        if learning_rate is None:
            learning_rate = fine_tuning_rate(self.network.spec.family)
        spec = TrainSpec(steps, batch, learning_rate, seed=seed)
        target = torch.from_numpy(self.target)
        freeze_quantized(model, inputs, target, spec, post, progress=progress)
        finalise(model)
        outputs = evaluate(model, inputs).outputs
        return Quantized(model, self.grid, self.low, self.high, psnr(self.target, outputs))


@dataclass(frozen=True)
class Quantized:
    """A quantized network for samples; ``model`` goes to :func:`dhq_brevitas.export.export_qonnx`.

    ``psnr`` in dB is over the samples it was fitted to, peak = the range of the values.
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
) -> Fitted:
    """Fits a network to samples of any signal: values[i] at coordinates[i].

    Args:
        coordinates: [N] or [N, d], integers or floats, in any units. Points of a regular grid stay
            exact; scattered ones are rounded to 12 bits an axis. Grid points are taken to be as far
            apart on every axis, as pixels are.
        values: [N] or [N, c], finite, of any range.
        family, parameters: an INR family and its numbers, see :mod:`dhq_brevitas.inr.families`.
        hidden, layers: width and number of hidden layers.
        steps, learning_rate, batch, seed: of the training; the learning rate is the family's unless
            given.
        progress: show a bar.

    Raises ValueError for arrays that do not fit together, NaN, infinity, or constant values.
    """
    points = _points(coordinates)
    samples = np.asarray(values)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if samples.ndim != 2 or len(samples) != len(points) or samples.dtype.kind not in "iuf":
        raise ValueError(
            f"values of shape {np.shape(values)} must be numbers [{len(points)}] or "
            f"[{len(points)}, channels], a row for each of the coordinates"
        )
    if not np.isfinite(samples).all():
        raise ValueError("values hold NaN or infinity; remove those samples")
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
    network = Inr(spec, seed)
    rate = get_family(family).learning_rate if learning_rate is None else learning_rate
    training = TrainSpec(steps, batch, rate, seed=seed)
    inputs = torch.from_numpy(codes).float() * grid.step
    trained = fit_float(network, inputs, torch.from_numpy(target), training, progress=progress)
    return Fitted(network, grid, low, high, codes, target, trained.psnr)


def _from_unit(outputs: np.ndarray, low: float, high: float) -> np.ndarray:
    return ((outputs.astype(np.float64) + 1) * ((high - low) / 2) + low).astype(np.float32)
