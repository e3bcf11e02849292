"""A name means one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]

OF_A_FAMILY = {"Recipe"}
"""`recipe=modern` of either family; checkpoints know a training by this name."""


def test_no_two_public_classes_have_one_name() -> None:
    found = defaultdict(list)
    for path in [*ROOT.glob("folkrnn/**/*.py"), *ROOT.glob("analyses/**/*.py")]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in found.items() if len(files) > 1 and name not in OF_A_FAMILY} == {}
