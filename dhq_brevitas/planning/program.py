# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The integer program of the planner: one alternative a layer, least summed error, within a budget.

Errors of single tensors are measured (:mod:`dhq_brevitas.planning.sensitivity`); a plan's is taken
to be their sum, as for small independent errors. With x_ia = 1 where layer i takes alternative a:

    minimize Σ error_ia x_ia   subject to   Σ_a x_ia = 1,
    Σ weights_i · weight_bits_a · x_ia ≤ weight budget,
    Σ inputs_i · act_bits_a · x_ia ≤ average activation bits · Σ inputs_i

the last over the layers behind the first. With limits on hardware there is also y_ipo = 1 where the
table behind layer i has p address and o output bits, and for each limited resource

    Σ linear_ia · x_ia + Σ table_ipo · y_ipo + between ≤ limit
    Σ_p y_ipo = Σ_{a: takes o} x_(i+1)a

(:mod:`dhq_brevitas.planning.resource_model`). HiGHS solves it, through ``scipy.optimize.milp``. The
formulation is that of Hubara et al., 2021, arXiv:2006.10518, and of HAWQ-V3, Yao et al., 2021,
arXiv:2011.10680.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.planning.alternatives import Alternative, Budget, connected, given_bits
from dhq_brevitas.planning.limits import Limits, Resources
from dhq_brevitas.planning.resource_model import Prices

__all__ = ["IntegerProgram"]

NO_LIMITS = Limits()


@dataclass(frozen=True)
class _Choice:
    """x_ia: layer ``index`` takes ``alternative``, which makes it ``plan``."""

    index: int
    alternative: Alternative
    plan: LayerPlan

    @property
    def taken_bits(self) -> int:
        """Output bits of the table ahead of the layer."""
        return given_bits(self.plan.rotation, self.plan.act_bits)


@dataclass(frozen=True)
class _Table:
    """y_ipo: the table behind layer ``index``."""

    index: int
    phase_bits: int
    bits: int


@dataclass(frozen=True)
class IntegerProgram:
    """See the module docstring.

    Attributes:
        alternatives: of each layer.
        uniform: what a plan keeps besides them.
        budget: of weight and activation bits.
        prices: what alternatives take in hardware; None: not looked at, and tables stay as they
            are.
        tables: for each layer the errors of the table behind it by its address bits.
        feeders: see :func:`dhq_brevitas.planning.alternatives.connected`.
    """

    alternatives: Sequence[Sequence[Alternative]]
    uniform: Sequence[LayerPlan]
    budget: Budget
    prices: Prices | None = None
    tables: Sequence[Mapping[int, float]] = ()
    feeders: Sequence[int | None] = ()

    def solve(
        self,
        limits: Limits = NO_LIMITS,
        allowed: Callable[[Alternative], bool] = lambda alternative: True,
        least: str | None = None,
    ) -> tuple[LayerPlan, ...] | None:
        """The layers of least summed error, or None if what is allowed does not fit the budget.

        ``limits`` hold for what ``prices`` say. ``least`` names a resource that shall be least, and
        among such plans the error.
        """
        choices = [
            _Choice(index, alternative, alternative.of(self.uniform[index]))
            for index, options in enumerate(self.alternatives)
            for alternative in options
            if allowed(alternative)
        ]
        if {choice.index for choice in choices} != set(range(len(self.uniform))):
            return None
        tables = self._tables_of(choices) if self.prices is not None else []
        errors = np.array(
            [choice.alternative.error for choice in choices]
            + [self._table_errors()[table.index][table.phase_bits] for table in tables]
        )
        # Around one, where the solver's tolerances are made for.
        scaled = errors / max(float(errors.max()), np.finfo(float).tiny)
        objective = scaled * 1e6
        if least is not None:
            # All errors together count less than one piece.
            taken = self._resources(choices, tables)
            objective = _row(taken, least) + scaled / (4 * len(self.uniform))
        constraints = self._budget_rows(choices, tables)
        if self.prices is not None:
            constraints += self._hardware_rows(choices, tables, limits)
        solution = _minimized(objective, constraints, exact=least is not None)
        if solution is None:
            return None
        picked = [choice.plan for choice, take in zip(choices, solution, strict=False) if take]
        for table, take in zip(tables, solution[len(choices) :], strict=True):
            if take:
                picked[table.index] = replace(picked[table.index], phase_bits=table.phase_bits)
        return connected(picked, self.feeders)

    def _table_errors(self) -> Sequence[Mapping[int, float]]:
        if self.tables:
            return self.tables
        return [{} if x.phase_bits is None else {x.phase_bits: 0.0} for x in self.uniform]

    def _tables_of(self, choices: Sequence[_Choice]) -> list[_Table]:
        """Every table that a layer behind it could ask for."""
        errors = self._table_errors()
        widths = dict.fromkeys((c.index - 1, c.taken_bits) for c in choices if c.index > 0)
        return [_Table(at, phase, bits) for at, bits in widths for phase in errors[at]]

    def _budget_rows(self, choices: Sequence[_Choice], tables: Sequence[_Table]) -> list[Any]:
        """One alternative a layer, and the bits of weights and activations."""
        from scipy.optimize import LinearConstraint

        none = [0.0] * len(tables)
        one_each = [
            [float(choice.index == layer) for choice in choices] + none
            for layer in range(len(self.uniform))
        ]
        weights = [float(c.plan.weights * c.plan.weight_bits) for c in choices]
        acts = [float(c.plan.in_features * c.plan.act_bits * (c.index > 0)) for c in choices]
        inputs = sum(layer.in_features for layer in self.uniform[1:])
        return [
            LinearConstraint(np.array(one_each), 1, 1),
            LinearConstraint(np.array([weights + none]), ub=self.budget.weight_bits),
            LinearConstraint(np.array([acts + none]), ub=self.budget.act_bits * inputs),
        ]

    def _hardware_rows(
        self, choices: Sequence[_Choice], tables: Sequence[_Table], limits: Limits
    ) -> list[Any]:
        """Each table as the layer behind it takes it, and the limits."""
        from scipy.optimize import LinearConstraint

        # As many tables of a width as layers behind them that take it, one or none.
        linked = [
            [-float((c.index, c.taken_bits) == (at + 1, bits)) for c in choices]
            + [float((table.index, table.bits) == (at, bits)) for table in tables]
            for at, bits in dict.fromkeys((table.index, table.bits) for table in tables)
        ]
        rows = [LinearConstraint(np.array(linked), 0, 0)] if linked else []
        assert self.prices is not None
        taken = self._resources(choices, tables) if limits.given() else []
        between = self.prices.between
        return rows + [
            LinearConstraint(_row(taken, name)[None], ub=limit - getattr(between, name))
            for name, limit in limits.given().items()
        ]

    def _resources(self, choices: Sequence[_Choice], tables: Sequence[_Table]) -> list[Resources]:
        assert self.prices is not None
        return [self.prices.linear(c.index, c.plan) for c in choices] + [
            self.prices.table(t.index, t.phase_bits, t.bits) for t in tables
        ]


def _row(taken: Sequence[Resources], name: str) -> np.ndarray:
    return np.array([float(getattr(resources, name)) for resources in taken])


def _minimized(objective: np.ndarray, constraints: Sequence[Any], exact: bool) -> np.ndarray | None:
    """Which variables are 1 at the minimum, bool; None if nothing meets the constraints."""
    from scipy.optimize import Bounds, milp

    solution = milp(
        objective,
        integrality=np.ones(len(objective)),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"mip_rel_gap": 0.0} if exact else {},
    )
    return None if solution.x is None else solution.x > 0.5
