"""One loop steps every model: over any source, with hooks in one order, by fast paths that agree."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_network import SAMPLING, network, play

import folkrnn
from folkrnn.models.engine import InputTunes
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import At, Hook, hooked, unhooked
from folkrnn.models.positions import TuneTracker
from folkrnn.models.traces import Trace
from folkrnn.vocabulary import V2

PACKAGE = Path(folkrnn.__file__).parent
MODELS = ("models", "sampling", "interventions", "observation", "training")
FEEDING, CELLS, STEPPING = {"next"}, {"lstm_cell", "gru_cell", "lstm_equations", "cell"}, {"step", "_step"}


def loops(source: str, calling: Collection[str], methods: bool) -> list[str]:
    """The functions with a loop that calls a method (or else a function) of one of these names."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for loop in (node for node in ast.walk(function) if isinstance(node, ast.For | ast.While)):
            called = [node.func for node in ast.walk(loop) if isinstance(node, ast.Call)]
            names = [
                f.attr if methods else f.id for f in called if isinstance(f, ast.Attribute if methods else ast.Name)
            ]
            found += [function.name] if set(names) & set(calling) else []
    return found


def loops_of_the_package(calling: Collection[str], methods: bool) -> list[tuple[str, str]]:
    files = [file for folder in MODELS for file in sorted((PACKAGE / folder).rglob("*.py"))]
    return [
        (file.relative_to(PACKAGE).as_posix(), name)
        for file in files
        for name in loops(file.read_text(encoding="utf-8"), calling, methods)
    ]


def test_one_loop_of_the_package_feeds_tokens_to_a_model_and_one_applies_a_cell():
    assert loops_of_the_package(FEEDING, methods=True) == [("models/engine.py", "run")]
    assert loops_of_the_package(CELLS, methods=False) == [("models/recurrent.py", "recur")]
    assert loops_of_the_package(STEPPING, methods=True) == []


@pytest.mark.parametrize(
    "body", ["for t in x:\n  y = model.step(t)", "while True:\n  if a:\n   state = e.step(t, state)"]
)
def test_another_loop_over_tokens_would_be_counted(body):
    source = "def run(x):\n " + body.replace("\n", "\n ")
    assert loops(source, STEPPING, methods=True) == ["run"]


def tunes(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return sorted((rng.integers(2, 137, rng.integers(1, 45)) for _ in range(count)), key=len, reverse=True)


class Kept(Hook):
    """A hook that keeps the rows in progress of one site, step by step or by windows, as lists by row."""

    def __init__(self, site: str, rows: int, windows: bool) -> None:
        self.sites, self.rows, self.sizes = (site,), [[] for _ in range(rows)], []
        self.by_windows = windows

    def apply(self, site, value, step):
        self.sizes.append(1 if value.dim() == 2 else len(value))
        for rows, active in zip([value] if value.dim() == 2 else value, step.active, strict=True):
            for row in range(active):
                self.rows[row].append(rows[row])
        return value


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("site", ["x", "l1.i", "l2.h", "l3.n.pre", "logits"])
def test_windows_of_steps_are_the_steps_to_1e_6_and_each_tune_has_all_of_its_own(cell, site):
    model, some = network(cell), tunes(19)
    if site not in model.sites:
        pytest.skip("an activation of the other cell")
    found = []
    for windows in (True, False):
        kept = Kept(site, len(some), windows)
        with torch.no_grad():
            model.engine().run(InputTunes.of(some, range(19)), [kept])
        assert (max(kept.sizes) > 1) == windows
        assert [len(rows) for rows in kept.rows] == [len(ids) for ids in some]
        found.append(torch.stack([row for rows in kept.rows for row in rows]))
    assert (found[0] - found[1]).abs().max() < 2e-6


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 40), st.integers(0, 9), st.booleans())
def test_a_tune_reads_the_same_to_the_bit_in_any_batch(count, seed, known):
    model, some = network(units=16), tunes(count, seed)

    def read(numbers):
        trace = Trace({"l3.h": 16, "probs": 137}, len(numbers), len(some[numbers[0]]), model.device)
        with torch.no_grad():
            model.engine().run(InputTunes.of([some[k] for k in numbers], numbers, known=known), [trace])
        return trace.activations

    together = read(range(count))
    last = count - 1
    for site, alone in read([last]).items():
        assert torch.equal(alone[0], together[site][last, : len(some[last])])


def test_at_a_site_the_models_hooks_come_in_their_order_and_then_those_of_the_run():
    seen = []

    def named(name, sites=("l2.h",), **marks):
        def look(site, value):
            seen.append((name, site))
            return value

        hook = At(sites, look)
        for key, mark in marks.items():
            object.__setattr__(hook, key, mark)
        return hook

    tracker = TuneTracker(V2)
    first, second = named("first", ("l2.h", "logits")), named("second", ("l2.h", "logits"), of_parameters=True)
    changed = hooked(hooked(network(), [first], tracker), [second])
    changed.engine().run(InputTunes(torch.tensor([[5]])), [named("run")])
    assert seen == [
        ("first", "l2.h"),
        ("second", "l2.h"),
        ("run", "l2.h"),
        ("second", "logits"),
        ("first", "logits"),
    ]


def test_a_model_with_hooks_shares_its_parameters_and_leaves_the_original_as_it_was():
    model = network()
    changed = hooked(model, [At(("l3.h",), lambda _, h: torch.zeros_like(h))])
    tokens = torch.arange(2, 9)
    assert not changed.trace(tokens, "l3.h")["l3.h"].any()
    assert model.trace(tokens, "l3.h")["l3.h"].any()
    assert changed.softmax_weight is model.softmax_weight
    assert torch.equal(unhooked(changed).trace(tokens, "logits")["logits"], model.trace(tokens, "logits")["logits"])
    assert torch.equal(changed(tokens[None])[0], changed.trace(tokens, "logits")["logits"])


class Positions(Hook):
    """A hook that keeps the step and the number of the first tunes at every step."""

    sites = ("l1.h",)

    def __init__(self) -> None:
        self.found = []

    def apply(self, site, value, step):
        (active,) = step.active
        self.found += list(zip(step.position.tune[:active].tolist(), step.position.step[:active].tolist(), strict=True))
        return value


def test_hooks_know_tune_and_step_though_rows_are_dropped_and_given_to_others():
    where = Positions()
    changed = hooked(network(), [where], TuneTracker(V2))
    made = play(changed)
    expected = sorted((k, step) for k, tune in enumerate(made) for step in range(len(tune.ids) - 1))
    assert sorted(where.found) == expected
    where.found.clear()
    few = play(changed, type(SAMPLING)(**{**vars(SAMPLING), "batch_size": 3}))
    assert [tune.ids.tolist() for tune in few] == [tune.ids.tolist() for tune in made]
    assert sorted(where.found) == expected


def test_gradients_flow_through_a_step_that_is_not_packed():
    model = FolkRNN(units=8)
    logits, _ = model.step(torch.arange(3), model.initial_state(3), At(("l2.c",), lambda _, c: 2 * c))
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
