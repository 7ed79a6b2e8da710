# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""How a module is called: with tensors one after the other, by keywords, or with a dictionary."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

__all__ = ["Calling", "Inputs", "tensors_of"]

Inputs = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


@dataclass(frozen=True)
class Calling:
    """Attributes: ``names`` of the inputs, none where they stand one after the other; ``keywords``:
    whether named ones are keyword arguments, and not the entries of one dictionary."""

    names: tuple[str, ...] = ()
    keywords: bool = False

    @classmethod
    def of(cls, module: nn.Module, inputs: Inputs) -> "Calling":
        """How ``inputs`` are for ``module``: a dictionary has keyword arguments if they are its."""
        if not isinstance(inputs, Mapping):
            return cls()
        known = inspect.signature(module.forward).parameters
        return cls(tuple(inputs), all(name in known for name in inputs))

    def arguments(self, tensors: Sequence[Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of the module."""
        if not self.names:
            return tuple(tensors), {}
        named = dict(zip(self.names, tensors, strict=True))
        return ((), named) if self.keywords else ((named,), {})

    def tensors(self, args: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        """The inputs in order, of a call as the module's own or with all one after the other.

        TypeError, naming them, for others than the module takes.
        """
        if self.names and len(args) == 1 and isinstance(args[0], Mapping):
            named, args = {**args[0], **named}, ()
        if not named:
            return list(args)
        if args or set(named) != set(self.names):
            raise TypeError(
                f"inputs {', '.join(named)} given; the network takes "
                + (", ".join(self.names) if self.names else "tensors without names")
            )
        return [named[name] for name in self.names]


def tensors_of(inputs: Inputs) -> tuple[Tensor, ...]:
    """The tensors of one input, of several, or of named ones."""
    if isinstance(inputs, Mapping):
        return tuple(inputs.values())
    return (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
