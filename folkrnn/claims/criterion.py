"""Criteria: small expressions such as `near(value, published, 0.05)`, read without executing anything."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from folkrnn.errors import UserError


def near(value: float, other: float, distance: float) -> bool:
    """Whether two numbers are at most `distance` apart."""
    return abs(value - other) <= distance


def within(value: float, other: float, share: float) -> bool:
    """Whether `value` differs from `other` by at most this share of `other`."""
    return abs(value - other) <= share * abs(other)


def between(value: float, low: float, high: float) -> bool:
    """Whether `value` lies in [low, high]."""
    return low <= value <= high


def found(here: Sequence[str], published: Sequence[str]) -> float:
    """The share of the `published` list that is also in the list `here`."""
    return sum(item in here for item in published) / len(published)


def found_near(here: Sequence[str], published: Sequence[str], share: float) -> float:
    """The share of the `published` list of numbers that some number of `here` is within a `share` of."""
    numbers = [float(item) for item in here]

    def is_there(wanted: float) -> bool:
        return wanted in numbers or any(abs(n - wanted) <= share * abs(wanted) < math.inf for n in numbers)

    return sum(map(is_there, map(float, published))) / len(published)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "near": near,
    "within": within,
    "between": between,
    "found": found,
    "found_near": found_near,
    "abs": abs,
    "min": min,
    "max": max,
    "round": round,
    "len": len,
}
_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True)
class Criterion:
    """An expression over named numbers and lists. Raises UserError for anything but arithmetic and comparisons."""

    text: str

    def __post_init__(self) -> None:
        for node in ast.walk(self._tree):
            if not _allowed(node):
                raise UserError(f"criterion {self.text!r}: {type(node).__name__} is not allowed in it")
            if isinstance(node, ast.Call) and (not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS):
                raise UserError(f"criterion {self.text!r} calls what is none of {', '.join(FUNCTIONS)}")

    @cached_property
    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            raise UserError(f"criterion {self.text!r} is no expression: {error.msg}") from None

    @property
    def names(self) -> frozenset[str]:
        """What it speaks of, functions left out."""
        return frozenset(n.id for n in ast.walk(self._tree) if isinstance(n, ast.Name) and n.id not in FUNCTIONS)

    def holds(self, known: Mapping[str, Any]) -> bool:
        """Returns whether it is true of the numbers and lists in `known`, which has all its names."""
        return bool(_evaluate(self._tree, known))


def _allowed(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and math.isfinite(node.value)
    allowed = (ast.Name, ast.Load, ast.Call, ast.Compare, ast.BoolOp, ast.And, ast.Or, ast.BinOp, ast.UnaryOp)
    return isinstance(node, allowed) or type(node) in _OPERATORS


def _evaluate(node: ast.expr, known: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return known[name]
        case ast.Call(func=ast.Name(id=name), args=args):
            return FUNCTIONS[name](*(_evaluate(arg, known) for arg in args))
        case ast.UnaryOp(op=op, operand=operand):
            return _OPERATORS[type(op)](_evaluate(operand, known))
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_evaluate(left, known), _evaluate(right, known))
        case ast.BoolOp(op=op, values=values):
            some = all if isinstance(op, ast.And) else any
            return some(_evaluate(value, known) for value in values)
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_evaluate(side, known) for side in (left, *others)]
            return all(_OPERATORS[type(op)](a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False))
    raise TypeError(ast.dump(node))
