# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Fitting a float INR and fine-tuning a quantized one, interruptible and resumed exactly.

Both minimize the mean squared error with Adam on random minibatches. Nothing random is carried from
step to step: the samples of step s and its learning rate are functions of s and the seed. A
checkpoint of weights, optimizer and s therefore resumes to the same bits as a run that was never
interrupted (on the same machine with the same number of threads).
"""

import math
import os
import time
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from dhq_brevitas.inr.train_step import TrainStep, adam, load_adam, train_step
from dhq_brevitas.nn.training_form import compiled, training_form
from dhq_brevitas.util.deferred import deferred_interrupt
from dhq_brevitas.util.errors import ArgumentError, check_integer
from dhq_brevitas.util.hooks import evaluated
from dhq_brevitas.util.states import load_tensors, restore, save_tensors

__all__ = [
    "DivergedError",
    "Interrupted",
    "Projection",
    "TrainResult",
    "TrainSpec",
    "TrainingRun",
    "batch_indices",
    "check_data",
    "evaluated_psnr",
    "fit_float",
    "tensor_psnr",
]

Projection = Callable[[Tensor], Tensor]

PROGRESS_EVERY = 20
# Activations of a whole training from which on compiling its steps, which takes up to a minute,
# saves more; one that is quantized takes more operations, which are then fused.
COMPILED_WORK = 2e10
QUANTIZED_OPERATIONS = 6
COMPARED = 64  # samples
COLLAPSE, RECENT = 6.0, 10  # dB; losses, one every PROGRESS_EVERY steps, that are averaged


class DivergedError(ValueError):
    """A loss or weight is not finite any more."""


class Interrupted(RuntimeError):
    """Training stopped on request after its state was saved."""


@dataclass(frozen=True)
class TrainSpec:
    """How to train.

    Attributes:
        steps: optimizer steps. 0 leaves the weights as they are.
        batch: samples a step; all of them when there are fewer.
        learning_rate: of Adam at the start; it falls along half a cosine to ``final_fraction`` of
            that.
        seed: of the minibatches.
        evaluate_every: steps between evaluations on all samples, where the best weights are kept
            (fine-tuning only).
        save_seconds: least time between checkpoints.
    """

    steps: int
    batch: int = 4096
    learning_rate: float = 2e-3
    final_fraction: float = 0.01
    seed: int = 0
    evaluate_every: int = 100
    save_seconds: float = 10.0

    def __post_init__(self) -> None:
        least = {"steps": 0, "batch": 1, "evaluate_every": 1, "seed": -(2**63)}
        for name, lowest in least.items():
            check_integer(name, getattr(self, name), lowest)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ArgumentError("learning_rate", self.learning_rate, "must be a positive number")

    def rate_fraction(self, step: int) -> float:
        """Learning rate of step 0 … steps - 1 relative to that of step 0."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.final_fraction + (1 - self.final_fraction) * cosine


@dataclass(frozen=True)
class TrainResult:
    """PSNR in dB on all samples (evaluation mode), the step it belongs to, and seconds spent.

    ``resumed_from`` is the step at which this call started; ``seconds`` includes earlier calls.
    """

    psnr: float
    step: int
    seconds: float
    resumed_from: int = 0


def tensor_psnr(output: Tensor, target: Tensor) -> float:
    """PSNR in dB of float tensors of one shape whose full range is 2 ([-1, 1])."""
    error = (output.double() - target.double()).square().mean().item()
    return math.inf if error == 0 else 10 * math.log10(4 / error)


def evaluated_psnr(
    model: nn.Module, inputs: Tensor, target: Tensor, project: Projection | None
) -> float:
    """:func:`tensor_psnr` of what the model gives on ``inputs``; it is left in evaluation mode."""
    model.eval()
    with torch.no_grad():
        outputs = evaluated(model, inputs)
        return tensor_psnr(outputs if project is None else project(outputs), target)


def fit_float(
    model: nn.Module,
    inputs: Tensor,
    target: Tensor,
    spec: TrainSpec,
    checkpoint: str | os.PathLike[str] | None = None,
    key: str = "",
    progress: bool = True,
    project: Projection | None = None,
) -> TrainResult:
    """Trains a float network in place, so that model(inputs) ≈ target.

    Args:
        inputs: float32 [N, n], target: float32 [N, m], both whole; minibatches are taken here.
        checkpoint: file for the state of an unfinished run. If it is there and was made with the
            same ``key`` and ``spec``, training continues from it. It is deleted at the end.
        key: text that identifies data and network.
        progress: show a bar with the PSNR of recent steps.
        project: outputs [N, m] -> what ``target`` [K, m] gives, where samples are not given
            themselves (line integrals, say): then project(model(inputs)) ≈ target, and every step
            takes all inputs.

    Raises Interrupted after Ctrl-C or SIGTERM, once the step is finished and the state is saved.
    Raises DivergedError for a loss that is not finite (too large a learning rate), and warns of a
    network that is COLLAPSE dB worse in the end than it was on the way.
    """
    check_data(inputs, target, project)
    groups = [{"params": list(model.parameters())}]
    run = TrainingRun(model, lambda: groups, spec, checkpoint, key, project)
    run.train(inputs, target, "fit", progress)
    psnr = evaluated_psnr(model, inputs, target, project)
    run.warn_of_collapse(psnr)
    return run.finish(psnr, spec.steps)


def check_data(inputs: Tensor, target: Tensor, project: Projection | None) -> None:
    paired = len(inputs) == len(target) or project is not None
    if inputs.ndim != 2 or target.ndim != 2 or not paired or len(inputs) == 0:
        raise ValueError(
            f"inputs {tuple(inputs.shape)} and target {tuple(target.shape)} must be [N, n] and "
            "[N, m]"
        )


def batch_indices(
    samples: int, spec: TrainSpec, step: int, device: str | torch.device = "cpu"
) -> Tensor | None:
    """Samples of a step: an epoch is a random order cut into whole batches. None: all of them.

    The same on every device, where an epoch's order is kept.
    """
    if samples <= spec.batch:
        return None
    batches = samples // spec.batch
    epoch, position = divmod(step, batches)
    # The generator uses 32 bits of a seed; an odd factor keeps seeds and epochs apart.
    order = _order(samples, (spec.seed * 1_000_003 + epoch) % 2**32, torch.device(device))
    return order[position * spec.batch : (position + 1) * spec.batch]


@lru_cache(maxsize=1)  # drawing it takes longer than a step on some millions of samples
def _order(samples: int, seed: int, device: torch.device) -> Tensor:
    return torch.randperm(samples, generator=torch.Generator().manual_seed(seed)).to(device)


@dataclass
class TrainingRun:
    """State of one training run and its checkpoint."""

    model: nn.Module
    groups: Callable[[], list[dict[str, Any]]]
    spec: TrainSpec
    checkpoint: str | os.PathLike[str] | None
    key: str
    project: Projection | None = None
    step: int = 0
    best: dict[str, Any] | None = None
    resumed_from: int = 0
    optimizer: torch.optim.Adam = field(init=False)

    def __post_init__(self) -> None:
        self._run: Callable[[Tensor], Any] = self.model
        self._take_step: TrainStep | None = None
        self._recent, self._least = deque[float](maxlen=RECENT), math.inf
        self._earlier_seconds = 0.0
        self._started = time.monotonic()
        state = self._read_checkpoint()
        # Brevitas makes new scale parameters when a state is loaded: that has to come first.
        if state is not None:
            restore(self.model, state["model"])
        self.optimizer = adam(self.groups(), self.spec.learning_rate)
        if state is not None:
            load_adam(self.optimizer, state["optimizer"])
            self.step = self.resumed_from = state["step"]
            self.best = state["best"]
            self._earlier_seconds = state["seconds"]

    @property
    def seconds(self) -> float:
        return self._earlier_seconds + time.monotonic() - self._started

    def train(
        self,
        inputs: Tensor,
        target: Tensor,
        title: str,
        progress: bool,
        evaluate: Callable[[], float] | None = None,
        before_step: Callable[[int], None] = lambda step: None,
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Takes the steps that are left; what ``evaluate`` finds best is kept in ``best``."""
        spec, model = self.spec, self.model
        bar = tqdm(
            total=spec.steps,
            initial=self.step,
            desc=title,
            unit="step",
            disable=not progress,
        )
        saved_at = time.monotonic()
        if evaluate and self.best is None and spec.steps:
            self._keep_best(evaluate())
        model.train()
        self._run = self._training_form(inputs)
        with bar, deferred_interrupt() as interrupted:
            while self.step < spec.steps:
                before_step(self.step)
                loss = self._one_step(inputs, target)
                after_step()
                self.step += 1
                bar.update()
                if self.step % PROGRESS_EVERY == 0 or self.step == spec.steps:
                    self._show(bar, loss)
                if evaluate and (self.step % spec.evaluate_every == 0 or self.step == spec.steps):
                    self._keep_best(evaluate())
                if interrupted():
                    self._save()
                    raise Interrupted(self._message(title))
                if time.monotonic() - saved_at > spec.save_seconds:
                    self._save()
                    saved_at = time.monotonic()

    def predict(self, inputs: Tensor) -> Tensor:
        """What is compared with the target."""
        outputs = (self._run if self.model.training else self.model)(inputs)
        outputs = getattr(outputs, "value", outputs)
        return outputs if self.project is None else self.project(outputs)

    def _training_form(self, inputs: Tensor) -> Callable[[Tensor], Any]:
        """What computes the network's outputs in training: compiled, if that pays.

        Whether it does follows from the training as a whole, so that a part of it that is resumed
        computes the same.
        """
        form = training_form(self.model, inputs[:COMPARED])
        if form is None:
            return self.model
        samples = inputs if self.project is not None else inputs[: self.spec.batch]
        width = sum(p.shape[0] for p in self.model.parameters() if p.ndim == 2)
        work = self.spec.steps * len(samples) * width
        work *= 1 if form is self.model else QUANTIZED_OPERATIONS
        return (
            compiled(form, samples)
            if work >= COMPILED_WORK and samples.device.type == "cpu"
            else form
        )

    def _one_step(self, inputs: Tensor, target: Tensor) -> Tensor:
        if self._take_step is None:
            self._take_step = train_step(self.predict, self.optimizer, inputs, target)
        spec, chosen = self.spec, None
        if self.project is None:
            chosen = batch_indices(len(inputs), spec, self.step, inputs.device)
        return self._take_step(chosen, spec.learning_rate * spec.rate_fraction(self.step))

    def _show(self, bar: Any, loss: Tensor) -> None:
        error = loss.item()
        weights = [parameter.detach() for parameter in self.model.parameters()]
        if not math.isfinite(error) or not all(bool(torch.isfinite(w).all()) for w in weights):
            raise DivergedError(
                f"training diverged at step {self.step} (loss {error}): use a smaller learning "
                f"rate than {self.spec.learning_rate:g}"
            )
        self._recent.append(error)
        if len(self._recent) == RECENT:
            self._least = min(self._least, sum(self._recent) / RECENT)
        best = "" if self.best is None else f", best {self.best['psnr']:.2f} dB"
        batch_psnr = 10 * math.log10(4 / error) if error else math.inf
        bar.set_postfix_str(f"{batch_psnr:.2f} dB{best}")

    def warn_of_collapse(self, psnr: float) -> None:
        before = 10 * math.log10(4 / self._least) if 0 < self._least < math.inf else -math.inf
        if psnr < before - COLLAPSE:
            warnings.warn(
                f"training collapsed: it was at {before:.2f} dB on the way and ended at {psnr:.2f} "
                f"dB; use a smaller learning rate than {self.spec.learning_rate:g}",
                stacklevel=3,
            )

    def _keep_best(self, psnr: float) -> None:
        if self.best is None or psnr > self.best["psnr"]:
            state = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.best = {"psnr": psnr, "step": self.step, "model": state}

    def _message(self, title: str) -> str:
        kept = f"; its state is in {self.checkpoint}" if self.checkpoint else ""
        return (
            f"{title} was interrupted at step {self.step} of {self.spec.steps}{kept}. "
            "Repeat the command to continue"
        )

    # -- checkpoint ------------------------------------------------------------------------------

    def _identity(self) -> str:
        return f"{self.key} {self.spec}"

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        state = {
            "identity": self._identity(),
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
        }
        save_tensors(self.checkpoint, state)

    def _read_checkpoint(self) -> dict[str, Any] | None:
        if self.checkpoint is None or not Path(self.checkpoint).exists():
            return None
        try:
            device = next(self.model.parameters()).device
            state = load_tensors(self.checkpoint, device)
        except ValueError:
            warnings.warn(
                f"{self.checkpoint} is no checkpoint, or damaged; training starts anew",
                stacklevel=5,
            )
            return None
        return state if state.get("identity") == self._identity() else None

    def finish(self, psnr: float, step: int) -> TrainResult:
        result = TrainResult(psnr, step, self.seconds, self.resumed_from)
        if self.checkpoint is not None:
            Path(self.checkpoint).unlink(missing_ok=True)
        return result
