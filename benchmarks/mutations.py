"""Small plausible bugs of a module: every change of one expression that `mutants.py` may put in."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

SIGNS = [(ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Add, ast.Sub), (ast.Mult, ast.Div)]
SIGNS += [(ast.And, ast.Or)]
SWAPPED = dict(SIGNS) | {other: one for one, other in SIGNS} | {ast.FloorDiv: ast.Mult}
PAIRS = [name.split() for name in ["min max", "sum mean", "amin amax", "argmin argmax", "any all", "minimum maximum"]]
RENAMED = dict(PAIRS) | {other: one for one, other in PAIRS}
SAID = (ast.JoinedStr, ast.Raise, ast.Import, ast.ImportFrom, ast.Assert)  # words, not numbers
ANNOTATIONS = {"annotation", "returns", "decorator_list", "type_params"}
DEFAULTS = {"defaults", "kw_defaults"}


@dataclass
class Change:
    """One mutant: `node.name` (or its item `at`) is `new` in the place of `old`, somewhere within `shown`."""

    shown: ast.AST
    node: ast.AST
    name: str
    old: object
    new: object
    at: int | None = None

    def put(self, value: object) -> None:
        if self.at is None:
            setattr(self.node, self.name, value)
        else:
            getattr(self.node, self.name)[self.at] = value

    def mutated(self, tree: ast.Module) -> tuple[str, str]:
        """The module's source with the change, and the line and words of what changed."""
        before = ast.unparse(self.shown)
        self.put(self.new)
        words = f"{before}  →  {ast.unparse(self.new if self.shown is self.old else self.shown)}"
        source = ast.unparse(tree)
        self.put(self.old)
        return source, f"{self.shown.lineno}  " + " ".join(words.split("\n"))


def changes(node: ast.AST) -> Iterator[Change]:
    """Every mutant of what is under `node`, in the order of the source.

    A number that is all of a named constant, of a field's default or of a parameter's is left: one off it is another
    choice, not a bug, and a test of it would say the number twice.
    """
    yield from changes_of(node)
    for name, value in ast.iter_fields(node):
        for at, child in enumerate(value if isinstance(value, list) else [value]):
            if name in ANNOTATIONS or not isinstance(child, ast.AST) or isinstance(child, SAID):
                continue
            if isinstance(child, ast.Constant) and (name in DEFAULTS or is_named(node)):
                continue
            place = at if isinstance(value, list) else None
            if isinstance(child, ast.UnaryOp) and isinstance(child.op, ast.Not):
                yield Change(child, node, name, child, child.operand, place)
            if isinstance(child, ast.If) and not child.orelse and isinstance(child.body[-1], ast.Return):
                yield Change(child, node, name, child, ast.Pass(), place)
            yield from changes(child)


def is_named(node: ast.AST) -> bool:
    """Whether `node` gives a named constant or a field its value."""
    if isinstance(node, ast.AnnAssign):
        return True
    targets = node.targets if isinstance(node, ast.Assign) else []
    return bool(targets) and all(isinstance(target, ast.Name) and target.id.isupper() for target in targets)


def changes_of(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
        yield Change(node, node, "ops", node.ops[0], SWAPPED[type(node.ops[0])](), 0)
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPPED and "'" not in ast.unparse(node):
        yield Change(node, node, "op", node.op, SWAPPED[type(node.op)]())
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield Change(node, node, "value", node.value, node.value + 1)
        yield Change(node, node, "value", node.value, node.value - 1)
    elif isinstance(node, ast.Attribute) and node.attr in RENAMED:
        yield Change(node, node, "attr", node.attr, RENAMED[node.attr])
    elif isinstance(node, ast.Name) and node.id in ("min", "max", "any", "all"):
        yield Change(node, node, "id", node.id, RENAMED[node.id])
    elif isinstance(node, ast.Slice):
        for name in ("lower", "upper"):
            bound = getattr(node, name)
            if bound is not None and not isinstance(bound, ast.Constant):
                yield Change(node, node, name, bound, ast.BinOp(copy.deepcopy(bound), ast.Add(), ast.Constant(1)))
