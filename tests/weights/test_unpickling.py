import pickle
import pickletools
import random
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python2_pickles import python2

from folkrnn.errors import UserError
from folkrnn.weights import _pickle_child, unpickling
from folkrnn.weights.unpickling import read_pickle

RAN = []


def unpickled(data, name):
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, name)
        place.write_bytes(data)
        return read_pickle(place)


def run_me(*arguments):
    RAN.append(arguments)


class Evil:
    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def outcomes(pickles, folder):
    """What the reader makes of each pickle, in words, in one process under the limits of one."""
    for number, data in enumerate(pickles):
        (folder / f"{number:05d}.pkl").write_bytes(data)
    script = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import _pickle_child as child
child.limit(0)
for file in sorted(Path(sys.argv[2]).glob("*.pkl")):
    try:
        child.read(file.read_bytes())
        print("read")
    except child.Unacceptable as reason:
        print(ascii(str(reason)))
"""
    home = Path(unpickling.__file__).parent
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, home, folder], capture_output=True, text=True, check=True
    ).stdout.splitlines()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@settings(max_examples=20, deadline=None)
@given(PLAIN, st.integers(0, 5))
def test_plain_values_of_every_protocol_are_read_as_python_reads_them(value, protocol):
    assert unpickled(pickle.dumps(value, protocol), "x") == value


def test_text_of_python_2_is_read_as_latin_1():
    assert unpickled(python2({"name": "polska frå\xe5n", "n": 2**40}), "x") == {"name": "polska frå\xe5n", "n": 2**40}


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_are_read_as_numpy_reads_them(protocol):
    types, shapes = ("<f4", ">f4", "<f8", "<f2", "<i8", "|b1", "|u1"), ((), (0,), (3,), (2, 3), (2, 0, 4))
    arrays = [np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype) for dtype in types for shape in shapes]
    arrays += [array.T.copy().T for array in arrays]
    for array, (first, second) in zip(
        arrays, unpickled(pickle.dumps([(a, a) for a in arrays], protocol), "x"), strict=True
    ):
        np.testing.assert_array_equal(first, array)
        np.testing.assert_array_equal(second, array)
        assert first.dtype == array.dtype
        assert first.shape == array.shape


def test_numbers_of_numpy_become_plain_ones():
    assert unpickled(pickle.dumps([np.float32(0.5), np.int64(-3), np.bool_(True)]), "x") == [0.5, -3, True]


@pytest.mark.parametrize("protocol", [0, 2, 3, 5])
@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Evil(run_me, 1), "test_unpickling.run_me"),
        (Evil(exec, "1/0"), "exec"),
        (Evil(getattr, "", "format"), "getattr"),
        (Evil(print), "print"),
        (np.polynomial.Polynomial([1]), r"Polynomial|copy_?reg\._reconstructor"),
        (Evil(np.load, "x"), "load"),
        (np.random.default_rng(0), "numpy"),
        (type, "type"),
    ],
)
def test_a_pickle_that_would_call_something_is_refused_by_its_name(protocol, value, named):
    with pytest.raises(UserError, match=named) as refusal:
        unpickled(pickle.dumps({"param_values": [value]}, protocol), "x.pkl")
    assert "\n" not in str(refusal.value)
    assert RAN == []


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02(cos\nsystem\nS'true'\no.",  # OBJ
        b"(S'true'\nios\nsystem\n.",  # INST
        b"\x80\x02cos\nsystem\nU\x04true\x85R.",
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x8c\x04true\x85R.",
        b"\x80\x02P1\n.",  # a persistent id
        b"\x80\x02\x82\x01.",  # the extension registry
        b"\x80\x05\x97.",  # an out-of-band buffer
        b"\x80\x02c__builtin__\nlist\n)\x81.",  # NEWOBJ
    ],
)
def test_every_instruction_that_could_call_is_refused(data):
    with pytest.raises(UserError, match=r"os\.system|builtin__\.list|is not a whole pickle"):
        unpickled(data, "x.pkl")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02c_codecs\nencode\n)\x81.",  # an object of a class
        b"\x80\x02c_codecs\nencode\nX\x02\0\0\0osX\4\0\0\0zlib\x86R.",  # another codec
        b"\x80\x02cnumpy\ndtype\nX\2\0\0\0O8\x85R.",
        b"\x80\x02c_codecs\nencode\nN}X\x08\0\0\0__code__Ns\x86b.",  # a function changed from within
        b"\x80\x04\x8c\x07_codecs\x8c\x0fencode.__call__\x93.",
        b"\x80\x02c__main__\n_Unpickler\n.",
        b"\x80\x02c_codecs\nencode\n.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nclist\nlist\n\x85R.",
    ],
)
def test_allowed_names_lead_nowhere_else(data):
    with pytest.raises(UserError):
        unpickled(data, "x.pkl")


def array_claiming(shape, data=b"\0" * 8, dtype=b"f4"):
    """A pickle of an array of that shape over those bytes."""
    sizes = b"".join(b"\x8a\x08" + struct.pack("<q", n) for n in shape)
    text = b"T" + struct.pack("<i", len(dtype)) + dtype
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R"
    kind = b"cnumpy\ndtype\n(" + text + b"K\0K\1tR(K\3U\1<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    return (
        b"\x80\x02" + empty + b"(K\1(" + sizes + b"t" + kind + b"\x89T" + struct.pack("<i", len(data)) + data + b"tb."
    )


def test_an_array_that_claims_what_it_has_is_read():
    assert unpickled(array_claiming((2,)), "x").tolist() == [0, 0]


LIES = {
    "an array of 10 GB": array_claiming((2_500_000_000,)),
    "an array of a negative size": array_claiming((-1, -2)),
    "an array of very many dimensions": array_claiming((1,) * 60),
    "an array whose size overflows": array_claiming((2**62, 4)),
    "an array of objects": array_claiming((1,), dtype=b"O8"),
    "an array of a record": array_claiming((1,), dtype=b"f4,f4"),
    "text of 10 GB": b"\x80\x04\x8d" + struct.pack("<Q", 10**10) + b"abc.",
    "bytes of 10 GB": b"\x80\x04\x8e" + struct.pack("<Q", 10**10) + b"abc.",
    "a bytearray of 10 GB": b"\x80\x05\x96" + struct.pack("<Q", 10**10) + b"abc.",
    "a string of 2 GB": b"\x80\x02T" + struct.pack("<i", 2**31 - 1) + b"abc.",
    "a number of 2 GB": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"abc.",
    "a bytearray made of a number": b"\x80\x02c__builtin__\nbytearray\nJ\0\0\0\x70\x85R.",
    "a number of very many digits": b"L" + b"9" * 900 + b"L\n" + b"I" + b"9" * 100_000 + b"\n.",
}


@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
def test_a_small_file_that_claims_much_is_refused(data):
    with pytest.raises(UserError):
        unpickled(data, "x.pkl")


def test_the_process_that_reads_cannot_take_more_memory_than_the_file_explains():
    script = "import sys; sys.path.insert(0, sys.argv[1]); import _pickle_child as c; c.limit(0); bytearray(c.BASE)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, Path(unpickling.__file__).parent],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr.rstrip().endswith("MemoryError")


def test_where_memory_has_no_limit_a_pickle_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    with pytest.raises(_pickle_child.Unacceptable, match="does not limit the memory"):
        _pickle_child.limit(0)


def test_a_large_frame_costs_nothing_and_a_place_in_memory_far_out_is_refused():
    assert unpickled(b"\x80\x04\x95" + struct.pack("<Q", 1) + b"N.", "x") is None
    with pytest.raises(UserError):
        unpickled(b"\x80\x04\x95" + struct.pack("<Q", 10**10) + b"N.", "x")
    with pytest.raises(UserError, match="claims more data than it holds"):
        unpickled(b"\x80\x02Nr\xff\xff\xff\x7f.", "x")


def test_bytes_that_are_used_again_and_again_do_not_multiply():
    block = b"T" + struct.pack("<i", 2**16) + b"\0" * 2**16 + b"q\0"
    array = array_claiming((2**14,), b"")
    head, tail = array[2:].split(b"T\0\0\0\0", 1)
    many = b"\x80\x02]" + block + b"0(" + (head + b"h\0" + tail[:-1]) * 200 + b"e."
    with pytest.raises(UserError, match="more data than it holds"):
        unpickled(many, "x")


@pytest.mark.parametrize("leaf", [b"N", b"U\x10" + b"a" * 16])
def test_lists_of_the_same_lists_do_not_multiply(leaf):
    doubled = b"\x80\x02" + leaf + b"".join(b"q%c](h%ch%ce" % (k, k, k) for k in range(60)) + b"."
    with pytest.raises(UserError, match=r"more than 2,000,000 values|more data than it holds"):
        unpickled(doubled, "x")


def test_a_list_within_itself_is_refused():
    with pytest.raises(UserError, match="recursion"):
        unpickled(b"\x80\x02]q\0h\0a.", "x")


def test_nesting_that_would_overflow_the_interpreter_is_refused():
    deep = b"\x80\x02" + b")" + b"\x85" * 200_000
    for data in (deep + b".", b"\x80\x02}" + deep[2:] + b"Ns."):
        with pytest.raises(UserError, match=r"recursion|ended the process"):
            unpickled(data, "x")


def test_a_pickle_that_takes_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(unpickling, "SECONDS", 0.001)
    with pytest.raises(UserError, match="longer than"):
        unpickled(b"\x80\x02N.", "x")


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    data = python2({"token2idx": {"a": 0}, "param_values": [np.arange(3, dtype=np.float32)]})
    said = outcomes([data[:end] for end in range(len(data))], tmp_path)
    assert len(said) == len(data)
    assert "read" not in said


def test_files_that_are_missing_or_too_large_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no pickle"):
        read_pickle(tmp_path / "none.pkl")
    monkeypatch.setattr(unpickling, "LARGEST", 10)
    (tmp_path / "large.pkl").write_bytes(b"\x80\x02N." + b"\0" * 10)
    with pytest.raises(UserError, match="larger than"):
        read_pickle(tmp_path / "large.pkl")


WHOLE = python2({"token2idx": {"a": 0, "b": 1}, "param_values": [np.arange(6, dtype=np.float32).reshape(2, 3), 1.5]})


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_instructions_is_read_or_refused(seed, tmp_path):
    rng = random.Random(seed)
    codes = [op.code.encode("latin-1") for op in pickletools.opcodes]
    programs = [
        b"\x80\x04"
        + b"".join(rng.choice([rng.choice(codes), rng.randbytes(rng.randint(0, 6))]) for _ in range(n))
        + b"."
        for n in rng.choices(range(1, 40), k=700)
    ]
    assert len(outcomes(programs, tmp_path)) == 700


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_pickle_is_read_or_refused(seed, tmp_path):
    rng = random.Random(seed)
    damaged = []
    for _ in range(700):
        data = bytearray(WHOLE)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        damaged.append(bytes(data))
    said = outcomes(damaged, tmp_path)
    assert len(said) == 700
    assert 0 < said.count("read") < 700


def test_reading_imports_nothing_that_the_pickle_names():
    before = set(sys.modules)
    with pytest.raises(UserError, match=r"antigravity\.fly"):
        unpickled(b"\x80\x02cantigravity\nfly\n.", "x")
    assert "antigravity" not in set(sys.modules) - before


def test_v2s_size_is_read_in_seconds():
    losses = [np.array(x, np.float32) for x in range(35_100)]
    data = python2(losses)
    began = time.monotonic()
    assert len(unpickled(data, "x")) == 35_100
    assert time.monotonic() - began < 20
