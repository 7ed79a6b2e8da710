# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A waveform: time to pressure."""

import io
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dhq_brevitas.signals.grid import grid_codes, grid_step
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.samples import SOUND
from dhq_brevitas.signals.tasks.base import Problem, Request, Task
from dhq_brevitas.util import figures
from dhq_brevitas.util.files import atomic_path, check_regular_file

__all__ = ["TASK"]

MIN_SAMPLES = 64
MAX_SAMPLES = 1 << 24
GENERATED_RATE = 8000


def chord(samples: int) -> np.ndarray:
    """Three decaying tones (A, C sharp, E) with their octaves, float64 [samples] in (-1, 1)."""
    time = np.arange(samples) / GENERATED_RATE
    tones = [
        np.sin(2 * np.pi * pitch * octave * time) / octave
        for pitch in (220.0, 277.18, 329.63)
        for octave in (1, 2)
    ]
    return np.sum(tones, axis=0) / 4.5 * np.exp(-2 * time)


def chirp(samples: int) -> np.ndarray:
    """A tone that rises from 100 to 800 Hz over the whole length, float64 [samples]."""
    time = np.arange(samples) / GENERATED_RATE
    rate = 700 / (samples / GENERATED_RATE)
    return 0.9 * np.sin(2 * np.pi * (100 * time + rate * time**2 / 2))


GENERATED = {"chord": chord, "chirp": chirp}


def load(request: Request) -> Problem:
    """The first ``size`` samples of a file (channels averaged) or of a generated sound."""
    notes: list[str] = []
    if request.size < MIN_SAMPLES:
        raise ValueError(f"size={request.size} is too short: use at least {MIN_SAMPLES} samples")
    if request.size > MAX_SAMPLES:
        raise ValueError(f"size={request.size} is too long: use at most {MAX_SAMPLES} samples")
    if request.source in GENERATED:
        sound, rate = GENERATED[request.source](request.size), GENERATED_RATE
    else:
        sound, rate = _read(Path(request.source), request.size, notes)
    if not np.isfinite(sound).all() or np.abs(sound).max() > 1:
        raise ValueError(
            f"cannot use {request.source}: its samples must be finite and in [-1, 1], as PCM is"
        )
    if not np.any(sound):
        raise ValueError(f"{request.source} is silent in its first {len(sound)} samples")
    shape = (len(sound),)
    return Problem(
        "audio",
        request.source,
        grid_codes(shape),
        sound.astype(np.float32)[:, None],
        shape,
        grid_step(shape),
        details={"rate": rate},
        notes=tuple(notes),
    )


def _read(path: Path, size: int, notes: list[str]) -> tuple[np.ndarray, int]:
    if not path.is_file():
        raise ValueError(
            f"there is no sound {str(path)!r}: give a WAV, FLAC or OGG file, or "
            f"{' or '.join(GENERATED)}"
        )
    check_regular_file(path)
    soundfile = _soundfile()
    try:
        samples, rate = soundfile.read(io.BytesIO(path.read_bytes()), frames=size, always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"cannot read the sound {path}: {error.error_string}") from error
    if len(samples) < MIN_SAMPLES:
        raise ValueError(
            f"{path} has {len(samples)} samples, which is too short: at least {MIN_SAMPLES} are "
            "needed"
        )
    if samples.shape[1] > 1:
        notes.append(f"{path.name} has {samples.shape[1]} channels; they are averaged")
    return samples.mean(axis=1), int(rate)


def _soundfile() -> Any:
    try:
        import soundfile
    except ImportError as error:
        raise ModuleNotFoundError(
            "sound files need soundfile: pip install 'dhq-brevitas[signals]'"
        ) from error
    return soundfile


def write(problem: Problem, outputs: np.ndarray, stem: Path) -> Path:
    """The sound as 16-bit .wav."""
    path = stem.with_suffix(".wav")
    pcm = SOUND.encode(outputs[:, 0]).astype(np.int16)
    with atomic_path(path) as temporary, wave.open(str(temporary), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(pcm.itemsize)
        sound.setframerate(problem.details["rate"])
        sound.writeframes(pcm.astype("<i2").tobytes())
    return path


def compare(path: Path, problem: Problem, panels: Sequence[tuple[str, np.ndarray]]) -> None:
    """Waveform and spectrogram of each, and those of the last one's error."""
    original, rate = problem.values[:, 0], problem.details["rate"]
    shown = [("original", original)]
    shown += [
        (f"{title}\n{psnr(problem.values, outputs):.2f} dB", outputs[:, 0])
        for title, outputs in panels
    ]
    shown.append((f"error of {panels[-1][0]}", panels[-1][1][:, 0] - original))
    figure = figures.new_figure((3.4 * len(shown), 4.6))
    axes = figure.subplots(2, len(shown), squeeze=False)
    window = min(256, len(original) // 4)
    time = np.arange(len(original)) / rate
    for column, (title, sound) in enumerate(shown):
        axes[0, column].plot(time, sound, linewidth=0.5)
        axes[0, column].set_ylim(-1, 1)
        axes[0, column].set_title(title, fontsize=10)
        # A floor far below hearing, so that silence has a logarithm.
        axes[1, column].specgram(
            sound + 1e-6 * np.sin(np.arange(len(sound))),
            NFFT=window,
            Fs=rate,
            noverlap=window // 2,
            vmin=-120,
            vmax=-30,
        )
        axes[1, column].set_xlabel("s")
    axes[1, 0].set_ylabel("Hz")
    figures.save(figure, path, dpi=110)


TASK = Task(
    "audio",
    "sound file (WAV, FLAC, OGG), or chord or chirp",
    2048,
    load,
    write,
    compare,
    # A sound has many more oscillations than a picture along one axis.
    family_parameters={"siren": {"omega_first": 300.0}, "finer": {"omega_first": 300.0}},
    samples=SOUND,
)
