import io
import pickle
import pickletools
import struct
import sys
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python2_pickles import python2

from folkrnn.refusal import Refusal
from folkrnn.weights import unpickling
from folkrnn.weights.pickling import dumps
from folkrnn.weights.unpickling import read_pickle, unpickled

RAN = []


def run_me(*arguments):
    RAN.append(arguments)


class Evil:
    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(PLAIN, st.integers(0, 5))
def test_plain_values_of_every_protocol_are_read_as_python_reads_them(value, protocol):
    assert unpickled(pickle.dumps(value, protocol), "x") == value


@given(st.sets(st.integers() | st.text()), st.integers(0, 5))
def test_sets_are_plain_values(value, protocol):
    assert unpickled(pickle.dumps([value, frozenset(value)], protocol), "x") == [value, frozenset(value)]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "<i8", "|b1", "|u1"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4)])
def test_arrays_of_every_protocol_are_read_as_numpy_reads_them(protocol, dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    for value in (array, array.T.copy().T):
        read = unpickled(pickle.dumps([value, value], protocol), "x")
        np.testing.assert_array_equal(read[0], array)
        assert read[0].dtype == array.dtype
        assert read[0].shape == shape


def test_numbers_of_numpy_become_plain_ones():
    assert unpickled(pickle.dumps([np.float32(0.5), np.int64(-3), np.bool_(True)]), "x") == [0.5, -3, True]


@given(st.lists(st.text(st.characters(max_codepoint=255)) | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False)))
def test_what_we_write_for_python_2_both_readers_read(value):
    data = dumps({"a": value, "b": tuple(value)})
    assert unpickled(data, "x") == pickle.loads(data, encoding="latin1") == {"a": value, "b": tuple(value)}


def test_text_beyond_latin_1_cannot_be_written_for_python_2():
    with pytest.raises(Refusal, match="Latin-1"):
        dumps(["ő"])
    with pytest.raises(Refusal, match="set"):
        dumps([{1}])


@pytest.mark.parametrize("protocol", range(6))
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
    with pytest.raises(Refusal, match=named) as refusal:
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
    with pytest.raises(Refusal, match=r"os\.system|could run code"):
        unpickled(data, "x.pkl")


def array_claiming(shape, data=b"\0" * 8, dtype=b"f4"):
    """A pickle of an array of that shape over those bytes."""
    whole = dumps(np.zeros(2, np.float32))
    start = whole.index(b"(J\x01\0\0\0(J")
    text = b"T" + struct.pack("<i", len(dtype)) + dtype
    claimed = b"".join(b"\x8a\x08" + struct.pack("<q", n) for n in shape)
    kind = b"cnumpy\ndtype\n(" + text + b"K\0K\1tR(K\3U\1<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    return whole[:start] + b"(K\1(" + claimed + b"t" + kind + b"\x89T" + struct.pack("<i", len(data)) + data + b"tb."


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
def test_a_small_file_that_claims_much_allocates_little(data):
    tracemalloc.start()
    with pytest.raises(Refusal):
        unpickled(data, "x.pkl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_place_in_memory_far_out_and_a_large_frame_cost_nothing():
    assert unpickled(b"\x80\x04\x95" + struct.pack("<Q", 10**10) + b"N.", "x") is None
    # Python's own reader would allocate as many places
    assert unpickled(b"\x80\x02Nr\xff\xff\xff\x7f.", "x") is None


def test_bytes_that_are_used_again_and_again_do_not_multiply():
    block = b"T" + struct.pack("<i", 2**16) + b"\0" * 2**16 + b"q\0"
    array = array_claiming((2**14,), b"")
    head, tail = array[2:].split(b"T\0\0\0\0", 1)
    many = b"\x80\x02]" + block + b"0(" + (head + b"h\0" + tail[:-1]) * 200 + b"e."
    with pytest.raises(Refusal, match="more data than it holds"):
        unpickled(many, "x")


def test_nesting_that_would_overflow_the_interpreter_is_refused_or_read():
    deep = b"\x80\x02" + b")" + b"\x85" * 200_000
    assert isinstance(unpickled(deep + b".", "x"), tuple)
    with pytest.raises(Refusal, match="neither text nor a number"):
        unpickled(b"\x80\x02}" + deep[2:] + b"Ns.", "x")


def test_too_many_instructions_are_refused(monkeypatch):
    monkeypatch.setattr(unpickling, "MOST_STEPS", 1000)
    with pytest.raises(Refusal, match="1,000 instructions"):
        unpickled(b"\x80\x02" + b"]0" * 1000 + b"N.", "x")


def test_a_file_cut_short_anywhere_is_refused():
    data = python2({"token2idx": {"a": 0}, "param_values": [np.arange(3, dtype=np.float32)]})
    for end in range(len(data)):
        with pytest.raises(Refusal):
            unpickled(data[:end], "x")


def test_files_that_are_missing_or_too_large_are_refused(tmp_path, monkeypatch):
    with pytest.raises(Refusal, match="no pickle"):
        read_pickle(tmp_path / "none.pkl")
    monkeypatch.setattr(unpickling, "LARGEST", 10)
    (tmp_path / "large.pkl").write_bytes(b"\x80\x02N." + b"\0" * 10)
    with pytest.raises(Refusal, match="larger than"):
        read_pickle(tmp_path / "large.pkl")


OPCODES = st.sampled_from([op.code.encode("latin-1") for op in pickletools.opcodes])


@settings(max_examples=400, deadline=1000)
@given(st.lists(OPCODES | st.binary(max_size=6), max_size=40).map(b"".join))
def test_any_sequence_of_instructions_is_read_or_refused(data):
    try:
        unpickled(b"\x80\x04" + data + b".", "x")
    except Refusal as refusal:
        assert "\n" not in str(refusal)


WHOLE = python2({"token2idx": {"a": 0, "b": 1}, "param_values": [np.arange(6, dtype=np.float32).reshape(2, 3), 1.5]})


@settings(max_examples=400, deadline=1000)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_pickle_is_read_or_refused(changes):
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    try:
        unpickled(bytes(data), "x")
    except Refusal as refusal:
        assert "\n" not in str(refusal)


def test_reading_imports_nothing_that_the_pickle_names():
    data = io.BytesIO()
    data.write(b"\x80\x02cantigravity\nfly\n.")
    before = set(sys.modules)
    with pytest.raises(Refusal, match=r"antigravity\.fly"):
        unpickled(data.getvalue(), "x")
    assert "antigravity" not in set(sys.modules) - before


def test_v2s_size_is_read_in_seconds():
    losses = [np.array(x, np.float32) for x in range(35_100)]
    data = python2(losses)
    began = time.process_time()
    assert len(unpickled(data, "x")) == 35_100
    assert time.process_time() - began < 20
