"""A name means one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text())
    for path in [*ROOT.glob("folkrnn/**/*.py"), *ROOT.glob("analyses/**/*.py")]
}


def public(kind: type[ast.ClassDef] | type[ast.FunctionDef]) -> dict[str, list[str]]:
    """The modules that define a public class or function of each name."""
    found = defaultdict(list)
    for module, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, kind) and not node.name.startswith("_"):
                found[node.name].append(module)
    return found


def several(found: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    return {name: sorted(modules) for name, modules in found.items() if len(modules) > 1}


def test_no_two_public_classes_have_one_name() -> None:
    assert several(public(ast.ClassDef)) == {}


def test_no_two_functions_are_called_by_one_name_without_their_module() -> None:
    # `lasagne.load` and `folder.load` are told apart where they are called, `load` would not be
    defined, called = public(ast.FunctionDef), defaultdict(set)
    for tree in MODULES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.asname is None and node.module in defined.get(alias.name, ()):
                        called[alias.name].add(node.module)
    assert several(called) == {}
