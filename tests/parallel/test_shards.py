"""Several processes observe what one does, to the bit."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_network import applied, network

import folkrnn
from folkrnn.datasets.melodies import random_notes
from folkrnn.errors import UserError
from folkrnn.interventions import activations, distributions
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.observation import Observation
from folkrnn.observation.summary import summarise
from folkrnn.parallel.blocks import each_block
from folkrnn.parallel.shards import ALONE, Workers, processes
from folkrnn.sampling import Sampling, generate
from folkrnn.sampling.writing import SHARE, shares, written
from folkrnn.vocabulary import V2
from folkrnn.weights.folder import load

WEIGHTS = Path(folkrnn.__file__).parent / "weights"


@pytest.fixture(scope="module")
def small():
    return load(WEIGHTS / "folkrnn_small").model.eval()


@pytest.fixture(autouse=True)
def none_is_left_running():
    yield
    assert not multiprocessing.active_children()


@dataclass
class Doubling:
    """A work that a test can watch, and have go wrong at one block."""

    wrong: str = ""
    model: None = None

    def __call__(self, block, progress):
        if block == 3 and self.wrong == "refuses":
            raise UserError("block 3 cannot be doubled")
        if block == 3 and self.wrong == "fails":
            raise ZeroDivisionError("block 3")
        if block == 3 and self.wrong == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.wrong == "sleeps":
            time.sleep(60)
        progress(1)
        return {"twice": np.array([2 * block]), "threads": np.array(torch.get_num_threads())}


def doubled(work, count, blocks=range(7), progress=None):
    return [int(found["twice"][0]) for found in each_block(work, blocks, Workers(count), progress)]


def same_tunes(one, other):
    assert one.arrays.keys() == other.arrays.keys()
    for name in one.arrays:
        np.testing.assert_array_equal(one.arrays[name], other.arrays[name], err_msg=name)


def same_summary(one, other):
    assert one.rows == other.rows
    assert list(one.units) == list(other.units)
    for site, unit in one.units.items():
        for quantity, value in unit.items():
            np.testing.assert_array_equal(value, other.units[site][quantity], err_msg=f"{site} {quantity}")


# in one process


@given(st.integers(1, 3 * SHARE), st.integers(1, 9))
def test_every_tune_is_written_by_one_process(tunes, count):
    blocks = shares(tunes, count)
    assert sorted(number for block in blocks for number in block) == list(range(tunes))
    assert max(map(len, blocks)) <= SHARE
    assert len(blocks) % count == 0


def test_one_process_does_the_blocks_in_their_order_as_they_are_asked_for():
    done = []
    found = each_block(Doubling(), range(4), ALONE, done.append)
    assert next(found)["twice"] == 0
    assert done == [1]
    assert [int(part["twice"][0]) for part in found] == [2, 4, 6]


def test_devices_of_the_trainer_are_processes():
    assert processes("cpu", 4) == Workers(4)
    assert processes("cpu", "auto") == ALONE
    for devices in (-1, [0, 1], 0):
        with pytest.raises(UserError, match="number of processes"):
            processes("cpu", devices)


def test_a_summary_does_not_depend_on_the_processes_that_could_be_had(small):
    """The order of adding up is that of the blocks, which are the same for any number of processes."""
    tunes = written(small, V2, Sampling(tunes=70, max_tokens=20), 1)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(summarise(small, tunes.ids))
    torch.set_num_threads(before)
    same_summary(found[0], found[1])
    same_summary(found[0], found[2])


def test_written_tunes_are_those_that_are_generated(small):
    sampling = Sampling(tunes=20, max_tokens=15)
    for one, other in zip(written(small, V2, sampling, 3), generate(small, V2, sampling, 3), strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.probability, other.probability)
        np.testing.assert_array_equal(one.uniform, other.uniform)


def test_numbers_of_tunes_need_foundof_their_own(small):
    with pytest.raises(UserError, match="one stream"):
        generate(small, V2, Sampling(tunes=5, rng="legacy"), 1, numbers=[1, 3])


# in several


@pytest.mark.slow
def test_several_processes_do_all_blocks_and_count_what_they_have_done():
    before = dict(os.environ)
    done = []
    assert doubled(Doubling(), 3, progress=done.append) == [0, 2, 4, 6, 8, 10, 12]
    assert sum(done) == 7
    assert dict(os.environ) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ("refuses", UserError, "block 3 cannot be doubled"),
        ("dies", UserError, "ended by SIGKILL"),
        ("fails", Exception, "ZeroDivisionError: block 3"),
    ],
)
def test_what_goes_wrong_in_a_process_is_said_and_ends_the_others(wrong, error, says):
    with pytest.raises(error, match=says):
        doubled(Doubling(wrong), 2)


@pytest.mark.slow
def test_ctrl_c_ends_every_process():
    handler = signal.getsignal(signal.SIGINT)

    def interrupt():
        deadline = time.monotonic() + 60
        while len(multiprocessing.active_children()) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(3)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            doubled(Doubling("sleeps"), 2)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert time.monotonic() - began < 50


OBSERVING = """
import time
from folkrnn.parallel.blocks import each_block
from folkrnn.parallel.shards import Workers

def sleeping(block, progress):
    open(f"began{block}", "w").close()
    time.sleep(300)

if __name__ == "__main__":
    list(each_block(sleeping, range(2), Workers(2)))
"""


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(tmp_path):
    (tmp_path / "observing.py").write_text(OBSERVING)
    parent = subprocess.Popen([sys.executable, "observing.py"], cwd=tmp_path)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and len(list(tmp_path.glob("began*"))) < 2:
        assert parent.poll() is None
        time.sleep(0.1)
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs(children, timeout=30)
    for child in alive:
        child.kill()
    assert not alive
    assert len(gone) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_tunes_and_their_summary_are_those_of_one_process(small, count):
    sampling = Sampling(tunes=200)
    one = written(small, V2, sampling, 1)
    several = written(small, V2, sampling, 1, Workers(count))
    same_tunes(one, several)
    same_summary(summarise(small, one.ids), summarise(small, several.ids, processes=Workers(count)))


@pytest.mark.slow
def test_tunes_of_an_intervention_are_those_of_one_process():
    """Odd numbers, edits that are closures, tokens that are drawn again, noise that goes by the tune's number."""
    model = network()
    changed = applied(model, distributions.suppress("pitch"), activations.noise("l2.h", 0.3)).model
    sampling = Sampling(tunes=37, max_tokens=20)
    one = written(changed, V2, sampling, 5)
    same_tunes(one, written(changed, V2, sampling, 5, Workers(9)))  # of which 3 are of use
    assert one.ids[0].tolist() != written(model, V2, sampling, 5).ids[0].tolist()
    found = summarise(changed, list(one.ids) * 2, processes=Workers(9))  # two blocks
    same_summary(summarise(changed, list(one.ids) * 2), found)


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "count"), [("lstm", 2), ("gru", 3)])
def test_traces_of_given_tunes_are_those_of_one_process(cell, count):
    model = network(cell, units=24)
    rng = np.random.default_rng(0)
    tunes = [folkrnn.sampling.input_tune(rng.integers(2, 137, rng.integers(3, 60)).tolist(), V2) for _ in range(45)]
    alone = Observation(model, V2, tunes)
    found = dict(Observation(model, V2, tunes, processes=Workers(count)).each_kept(["l*.*", "probs"]))
    assert sorted(found) == list(range(45))
    for k, found in alone.each_kept(["l*.*", "probs"]):
        for site, value in found.items():
            np.testing.assert_array_equal(value, found[k][site], err_msg=f"{k} {site}")


@pytest.mark.slow
def test_latents_and_their_summary_are_those_of_one_process():
    model = load(WEIGHTS / "musicvae_2bar").model.eval()
    corpus = random_notes(519, 2, seed=0)
    one, two, three = (
        LatentObservation(model, corpus.classes, [""] * 519, corpus, processes=Workers(count)) for count in (1, 2, 3)
    )
    np.testing.assert_array_equal(one.mu, two.mu)
    np.testing.assert_array_equal(one.sigma, two.sigma)
    same_summary(one.summary(["mu", "dec.l2.*"]), three.summary(["mu", "dec.l2.*"]))
