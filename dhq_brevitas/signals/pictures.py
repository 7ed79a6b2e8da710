# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Pictures: loading, saving, side by side."""

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.samples import PIXELS
from dhq_brevitas.util import figures
from dhq_brevitas.util.files import atomic_path, check_regular_file

__all__ = [
    "MIN_SIDE",
    "Picture",
    "bundled_pictures",
    "load_image",
    "save_comparison",
    "save_image",
]

MIN_SIDE = 8
MAX_SIDE = 8192
# The filter against aliasing takes time with its width: a picture that is scaled down by more than
# SHRUNK_FROM is first shrunk to SHRUNK_TO times its target. That is odd, so that the center of a
# pixel stays one.
SHRUNK_FROM, SHRUNK_TO = 8, 5
_BUNDLED_SUFFIXES = (".png", ".jpg")
# Modes Pillow hands over as they are; all others are converted to RGB.
_GREY_MODES = ("1", "L", "F", "I", "I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True)
class Picture:
    """A picture as a signal.

    Attributes:
        pixels: float32 [H, W, C], values in [-1, 1] (black -1, white 1), C = 1 (grey) or 3 (RGB).
        name: what the picture was asked for by.
        notes: one sentence for each thing done to it on the way (alpha dropped, first frame taken).
    """

    pixels: np.ndarray
    name: str
    notes: tuple[str, ...] = field(default=())

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def channels(self) -> int:
        return self.pixels.shape[2]


def bundled_pictures() -> dict[str, Path]:
    """Names and files of the pictures inside the installed scikit-image; nothing is downloaded."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return {p.stem: p for p in sorted(folder.glob("*")) if p.suffix in _BUNDLED_SUFFIXES}


def load_image(
    name_or_path: str | os.PathLike[str], size: int | None = None, grey: bool = False
) -> Picture:
    """Loads a picture and scales it to ``size`` pixels on its longer side.

    Args:
        name_or_path: a file, or a name from :func:`bundled_pictures`. A name is looked up first.
        size: longer side of the result, aspect kept, anti-aliased; None keeps the original size.
        grey: turn RGB into luminance (0.2125 R + 0.7154 G + 0.0721 B).

    Integer pixels are divided by the largest value of their type (255 or 65535) to v in [0, 1]; the
    result is 2·v - 1. Grey keeps 16 bits, color is read with 8. Alpha is dropped, not blended; of
    several frames the first is taken.
    Raises ValueError when there is no such picture, when it cannot be read, when it is too small
    (under 8 pixels on a side, before or after scaling), or when ``size`` is under 8 or above 8192.
    """
    if size is not None and size < MIN_SIDE:
        raise ValueError(f"size={size} is too small: use at least {MIN_SIDE} pixels")
    if size is not None and size > MAX_SIDE:
        raise ValueError(f"size={size} is too large: use at most {MAX_SIDE} pixels")
    name = os.fspath(name_or_path)
    notes: list[str] = []
    stored = _read(_find(name), notes)
    if stored.ndim == 2:
        stored = stored[..., None]
    largest = _largest(stored, name)
    height, width, channels = stored.shape
    _check_size(stored.shape, name)
    target = _scaled(height, width, size, name, notes)
    if max(height, width) > SHRUNK_FROM * max(target):
        stored = _area_means(stored, *(SHRUNK_TO * side for side in target))
    unit = stored.astype(np.float64) / largest
    if grey and channels == 3:
        unit = unit @ np.array([[0.2125], [0.7154], [0.0721]])
    if target != (height, width):
        unit = _resize(unit, target, (height, width))
    pixels = np.clip(unit * 2.0 - 1.0, -1.0, 1.0).astype(np.float32)
    return Picture(np.ascontiguousarray(pixels), name, tuple(notes))


def _find(name: str) -> Path:
    bundled = bundled_pictures()
    if name in bundled:
        return bundled[name]
    path = Path(name)
    if path.is_dir():
        raise ValueError(f"picture {name!r} is a folder; name a file in it, or {name}/")
    if not path.exists():
        raise ValueError(
            f"there is no picture {name!r}: give a file, or one of the bundled pictures "
            f"{', '.join(bundled)}"
        )
    check_regular_file(path)
    return path


def _read(path: Path, notes: list[str]) -> np.ndarray:
    """Pixels as stored: [H, W] or [H, W, 3], bool, uint8, uint16, int32 or float32."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                frames = getattr(image, "n_frames", 1)
                if frames > 1:
                    notes.append(f"{path.name} has {frames} frames; the first is used")
                deep = any("16" in str(tile.args) for tile in image.tile)
                upright = ImageOps.exif_transpose(image)
                if upright.mode in _GREY_MODES:
                    return np.asarray(upright)
                if upright.mode.startswith(("LA", "La")):
                    notes.append(f"{path.name} has an alpha channel; it is dropped")
                    return np.asarray(upright)[..., 0]
                if upright.has_transparency_data:
                    notes.append(f"{path.name} has an alpha channel; it is dropped")
                if deep:
                    notes.append(f"{path.name} has 16-bit colors; they are read as 8-bit")
                return np.asarray(upright.convert("RGB"))
    except UnidentifiedImageError:
        return _read_other(path, notes)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read the picture {path}: {error}") from error


def _read_other(path: Path, notes: list[str]) -> np.ndarray:
    """TIFF that Pillow does not know, such as float colors, through tifffile."""
    import tifffile

    try:
        # From memory: it leaves a file open when that is no TIFF.
        pixels = np.asarray(tifffile.imread(io.BytesIO(path.read_bytes())))
    except Exception as error:  # of many kinds
        raise ValueError(
            f"cannot read the picture {path}: it is not a picture in a known format, or damaged"
        ) from error
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4):
        notes.append(f"{path.name} has an alpha channel; it is dropped")
        pixels = pixels[..., :-1]
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2 and (pixels.ndim != 3 or pixels.shape[-1] != 3):
        raise ValueError(
            f"cannot use {path}: its array has shape {pixels.shape}, not that of a grey or RGB "
            "picture"
        )
    return pixels


def _largest(pixels: np.ndarray, name: str) -> float:
    """The stored value of white; ValueError for pixels that are not between 0 and that."""
    if pixels.dtype == np.bool_:
        return 1.0
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:
        return float(np.iinfo(pixels.dtype).max)
    # Pillow opens some 16-bit greys as int32; floats are taken as [0, 1] by convention.
    largest = 65535.0 if pixels.dtype.kind in "iu" else 1.0
    if not np.isfinite(pixels).all():
        raise ValueError(f"cannot use {name}: its {pixels.dtype} pixels hold NaN or infinity")
    if pixels.min() < 0 or pixels.max() > largest:
        raise ValueError(
            f"cannot use {name}: its {pixels.dtype} pixels span {pixels.min():g} to "
            f"{pixels.max():g}; save it as an 8-bit or 16-bit picture, or with floats from 0 to 1"
        )
    return largest


def _scaled(
    height: int, width: int, size: int | None, name: str, notes: list[str]
) -> tuple[int, int]:
    """(H, W) of the picture whose longer side is ``size``."""
    if size is None or size == max(height, width):
        return height, width
    if size > max(height, width):
        notes.append(f"{name} is {height}x{width} pixels; it is enlarged to {size}")
    scale = size / max(height, width)
    target = round(height * scale), round(width * scale)
    _check_size(target, f"{name}, scaled to {size} pixels,")
    return target


def _area_means(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """float32 [height, width, C]: each pixel the mean of the area it covers, one channel a time."""
    from PIL import Image

    channels = [
        np.asarray(
            Image.fromarray(pixels[..., channel].astype(np.float32)).resize(
                (width, height), Image.Resampling.BOX
            )
        )
        for channel in range(pixels.shape[-1])
    ]
    return np.stack(channels, axis=-1)


def _resize(unit: np.ndarray, target: tuple[int, int], source: tuple[int, int]) -> np.ndarray:
    """``unit`` scaled to (H, W) = ``target``; ``source`` are the sides it had in the file.

    Where area means shrank it before, the filter against aliasing is that of the whole way less the
    variance of the means, so that the result is nearly the one without them.
    """
    from skimage.transform import resize

    sigma = None
    if unit.shape[:2] != source:
        whole = np.divide(source, target)
        sides = np.divide(source, unit.shape[:2])
        sigma = [*np.sqrt(((whole - 1) / 2 / sides) ** 2 - (1 - sides**-2) / 12), 0.0]
    return resize(
        unit,
        (*target, unit.shape[2]),
        order=1,
        mode="reflect",
        anti_aliasing=max(target) < max(source),
        anti_aliasing_sigma=sigma,
    )


def _check_size(shape: Sequence[int], what: str) -> None:
    if min(shape[:2]) < MIN_SIDE:
        raise ValueError(
            f"{what} is {shape[0]}x{shape[1]} pixels, which is too small: at least {MIN_SIDE} on "
            "each side are needed"
        )


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Values in [-1, 1] as uint8, rounded half to even, clipped; a single channel is squeezed."""
    picture = PIXELS.encode(pixels).astype(np.uint8)
    return picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture


def save_image(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Writes [H, W, C] or [H, W] with values in [-1, 1] as an 8-bit picture, in one piece."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(to_bytes(pixels)).save(temporary)


def save_comparison(
    path: str | os.PathLike[str],
    original: np.ndarray,
    panels: Sequence[tuple[str, np.ndarray]],
    gain: float = 8.0,
) -> None:
    """Writes original, each panel, and the last panel's difference from the original, side by side.

    Args:
        original: [H, W, C] in [-1, 1].
        panels: (title, [H, W, C] in [-1, 1]); PSNR against the original is added to the title.
        gain: the difference is shown as mid-grey + gain · error.
    """
    if not panels:
        raise ValueError("panels is empty: give at least one (title, pixels)")
    shown = [("original", original)]
    shown += [(f"{title}\n{psnr(original, p):.2f} dB", p) for title, p in panels]
    title, last = panels[-1]
    shown.append((f"difference of {title}\n{gain:g} times", (last - original) * gain))
    height, width = original.shape[:2]
    panel_width = 3.2
    panel_height = min(max(panel_width * height / width, 1.0), 9.6)
    figure = figures.new_figure((panel_width * len(shown), panel_height + 0.7))
    for axes, (text, pixels) in zip(figure.subplots(1, len(shown)), shown, strict=True):
        axes.imshow(to_bytes(pixels), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(text, fontsize=10)
        axes.set_axis_off()
    figures.save(figure, path, dpi=120)
