import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.weights import tensor_bundle
from folkrnn.weights.tensor_bundle import Region, masked_crc, read_bundle, write_bundle

SMALL = {
    "a/bias": np.arange(4, dtype=np.float32),
    "a/kernel": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "half": np.array([0.5, -2], np.float16),
    "step": np.array(7, np.int64),
}


def opened(prefix):
    shards = {0: Region.of(Path(f"{prefix}.data-00000-of-00001"))}
    return read_bundle(Region.of(Path(f"{prefix}.index")), shards)


def read_all(prefix):
    return {name: variable.read() for name, variable in opened(prefix).items()}


@pytest.fixture
def bundle(tmp_path):
    write_bundle(tmp_path / "x", SMALL)
    return tmp_path / "x"


@pytest.mark.parametrize(
    ("data", "crc"),
    [(b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (b"", 0)],
)
def test_checksums_are_those_of_the_standard_rotated_and_moved(data, crc):
    moved_back = (masked_crc(data) - 0xA282EAD8) % 2**32
    assert (moved_back << 15 | moved_back >> 17) % 2**32 == crc


@pytest.mark.parametrize("name", ["cat-mel_2bar_tiny/model.ckpt-50000", "hierdec-mel_4bar_tiny/model.ckpt-1000"])
def test_tensorflows_checkpoints_are_read_bit_for_bit_and_written_byte_for_byte(test_data, tmp_path, name):
    prefix = test_data / "magenta_parity" / name
    arrays = read_all(prefix)
    with np.load(prefix.parent / "weights.npz") as oracle:
        assert set(arrays) == {*oracle.files, "global_step"}
        assert all(np.array_equal(arrays[variable], oracle[variable]) for variable in oracle.files)
    assert int(arrays["global_step"]) == int(name.rsplit("-")[-1])
    write_bundle(tmp_path / "again", arrays)
    for ending in (".index", ".data-00000-of-00001"):
        assert Path(f"{tmp_path}/again{ending}").read_bytes() == Path(f"{prefix}{ending}").read_bytes()


@settings(max_examples=50, deadline=None)
@given(
    arrays=st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30),
        st.lists(st.integers(1, 5), max_size=4),
        max_size=40,
    ),
    kind=st.sampled_from(["<f4", "<f8", "<i4", "<i8", "<f2"]),
)
def test_what_is_written_is_read(tmp_path_factory, arrays, kind):
    prefix = tmp_path_factory.mktemp("bundle") / "x"
    rng = np.random.default_rng(0)
    values = {name: rng.integers(-9, 9, shape).astype(kind) for name, shape in arrays.items()}
    write_bundle(prefix, values)
    found = read_all(prefix)
    assert found.keys() == values.keys()
    for name, value in values.items():
        assert found[name].dtype == value.dtype
        assert np.array_equal(found[name], value)
        assert found[name].shape == value.shape


def block(content, kind=0, crc=None):
    checked = content + bytes([kind])
    return checked + struct.pack("<I", masked_crc(checked) if crc is None else crc)


def entry(key, value, shared=0):
    return bytes([shared, len(key) - shared, len(value)]) + key[shared:] + value


def plain(*entries):
    return b"".join(entries) + struct.pack("<2I", 0, 1)


def varint(value):
    octets = b""
    while value > 127:
        octets, value = octets + bytes([value & 127 | 128]), value >> 7
    return octets + bytes([value])


def table(*blocks, kind=0):
    """A table with these data blocks (contents without trailers)."""
    data, handles = b"", []
    for content in blocks:
        handles.append(varint(len(data)) + varint(len(content)))
        data += block(content, kind)
    meta = varint(len(data)) + varint(8)
    data += block(plain())
    content = plain(*(entry(bytes([200 + n]), handle) for n, handle in enumerate(handles)))
    index = varint(len(data)) + varint(len(content))
    data += block(content)
    return data + (meta + index).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def about(shape=(3, 4), offset=0, size=48, dtype=1, shard=0, crc=0, extra=b""):
    """A variable's entry; everything in it is a claim."""
    dimensions = b"".join(b"\x12" + bytes([len(d) + 1]) + b"\x08" + d for d in map(varint, shape))
    message = b"\x08" + varint(dtype) + b"\x12" + varint(len(dimensions)) + dimensions
    message += b"\x18" + varint(shard) + b"\x20" + varint(offset) + b"\x28" + varint(size)
    return message + b"\x35" + struct.pack("<I", crc) + extra


def put(tmp_path, index, data=bytes(1000)):
    (tmp_path / "x.index").write_bytes(index)
    (tmp_path / "x.data-00000-of-00001").write_bytes(data)
    return tmp_path / "x"


def test_variables_may_lie_in_several_blocks(tmp_path):
    data = np.arange(250, dtype=np.float32).tobytes()
    crc = masked_crc(data[:48])
    first = plain(entry(b"", b"\x08\x01"), entry(b"kernel_a", about(crc=crc)), entry(b"kernel_b", about(), shared=7))
    second = plain(entry(b"other", about(shape=(), size=4, offset=8, crc=masked_crc(data[8:12]))))
    found = opened(put(tmp_path, table(first, second), data))
    assert set(found) == {"kernel_a", "kernel_b", "other"}
    assert found["kernel_a"].read().tolist() == np.arange(12.0).reshape(3, 4).tolist()
    assert float(found["other"].read()) == 2.0


def test_a_damaged_variable_is_refused_when_it_is_read_and_not_before(bundle):
    file = Path(f"{bundle}.data-00000-of-00001")
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(content)
    variables = opened(bundle)
    assert variables["a/kernel"].read().shape == (3, 4)
    with pytest.raises(UserError, match=r"checksum of a/bias"):
        variables["a/bias"].read()


CLAIMS = {
    "size beyond the file": (about(shape=(2_500_000_000 // 4, 4), size=10_000_000_000), "which has 1000"),
    "offset beyond the file": (about(offset=953), "which has 1000"),
    "shape and size that differ": (about(size=44), "has shape"),
    "shape beyond all sense": (about(shape=(2**40,)), "no shape"),
    "negative dimension": (about(shape=(2**64 - 1,)), "no shape"),
    "too many dimensions": (about(shape=(1,) * 9, size=4), "no shape"),
    "missing data file": (about(shard=3), "data file 3, which is missing"),
    "slices": (about(extra=b"\x3a\x00"), "slices"),
    "group field": (b"\x0b", "unknown kind"),
    "message as number": (b"\x22\x01a", "a message stands where a number should"),
    "number as message": (b"\x10\x01", "a number stands where a message should"),
    "endless number": (b"\x08" + b"\xff" * 11, "does not end"),
    "string past the end": (b"\x12\x7f", "cut short"),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_claims_that_do_not_fit_what_is_there_are_refused_without_taking_memory(tmp_path, claim):
    value, says = CLAIMS[claim]
    prefix = put(tmp_path, table(plain(entry(b"", b""), entry(b"kernel", value))))
    tracemalloc.start()
    with pytest.raises(UserError, match=says):
        read_all(prefix)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_variables_that_share_their_bytes_cannot_claim_more_than_the_file(tmp_path):
    names = [f"kernel_{n}".encode() for n in range(9)]
    shared = plain(entry(b"", b""), *(entry(name, about(shape=(5, 10), size=200)) for name in names))
    with pytest.raises(UserError, match="1800 bytes of variables, but its data files hold 1000"):
        opened(put(tmp_path, table(shared)))


STRUCTURES = {
    "no footer": (b"hello", "no index"),
    "another magic": (table(plain())[:-1] + b"x", "no index"),
    "compressed with snappy": (table(plain(), kind=1), "snappy"),
    "compressed otherwise": (table(plain(), kind=9), "unknown way"),
    "wrong checksum": (b"x" + table(plain(entry(b"", b"")))[1:], "checksum of a block"),
    "more restarts than bytes": (table(struct.pack("<I", 99)), "more restarts"),
    "names out of order": (table(plain(entry(b"b", b""), entry(b"a", b""))), "out of order"),
    "a name twice": (table(plain(entry(b"b", b""), entry(b"b", b""))), "out of order"),
    "a name without beginning": (table(plain(b"\x05\x01\x00a")), "no beginning"),
    "a name without end": (table(plain(b"\x00\xff\x7f\x00a")), "longer than"),
    "a name that is no text": (table(plain(entry(b"\xff", about()))), "not text"),
    "a big-endian machine": (table(plain(entry(b"", b"\x10\x01"))), "big-endian"),
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_tables_that_are_none_are_refused_in_one_line(tmp_path, structure):
    index, says = STRUCTURES[structure]
    with pytest.raises(UserError, match=says) as refusal:
        opened(put(tmp_path, index))
    assert "\n" not in str(refusal.value)


def test_an_index_too_large_or_with_too_many_names_is_refused(tmp_path, monkeypatch):
    prefix = put(tmp_path, table(plain(*(entry(bytes([n]), about()) for n in range(1, 60)))), bytes(48 * 60))
    monkeypatch.setattr(tensor_bundle, "MOST_VARIABLES", 20)
    with pytest.raises(UserError, match="more than 20 variables"):
        opened(prefix)
    monkeypatch.setattr(tensor_bundle, "LARGEST_INDEX", 500)
    with pytest.raises(UserError, match="at most 500"):
        opened(prefix)


def test_types_that_are_not_numbers_are_named_and_only_refused_when_read(tmp_path):
    found = opened(put(tmp_path, table(plain(entry(b"", b""), entry(b"text", about(dtype=7, shape=(), size=9))))))
    assert found["text"].dtype == ""
    with pytest.raises(UserError, match="type 7"):
        found["text"].read()


def survives(prefix):
    """Reads what there is to read; a UserError is as good as an answer, anything else is not."""
    try:
        arrays = read_all(prefix)
    except UserError:
        return
    assert sum(array.nbytes for array in arrays.values()) <= Path(f"{prefix}.data-00000-of-00001").stat().st_size


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, 400), flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=4))
def test_truncated_and_flipped_files_are_refused_or_read_whole(tmp_path_factory, cut, flips):
    folder = tmp_path_factory.mktemp("fuzz")
    write_bundle(folder / "x", SMALL)
    for ending in (".index", ".data-00000-of-00001"):
        file = Path(f"{folder}/x{ending}")
        content = bytearray(file.read_bytes())
        for place, mask in flips:
            content[place % len(content)] ^= mask
        file.write_bytes(content[: max(0, len(content) - cut)] if cut < 300 else content)
    survives(folder / "x")


@settings(max_examples=300, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=5),
    cut=st.integers(0, 30),
)
def test_damage_under_a_right_checksum_is_refused_or_read(tmp_path_factory, flips, cut):
    entries = plain(
        entry(b"", b"\x08\x01"), entry(b"kernel_a", about()), entry(b"kernel_b", about(offset=48), shared=7)
    )
    content = bytearray(entries)
    for place, mask in flips:
        content[place % len(content)] ^= mask
    survives(put(tmp_path_factory.mktemp("fuzz"), table(bytes(content[: len(content) - cut]))))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_as_entries_are_refused_or_read(tmp_path_factory, content):
    survives(put(tmp_path_factory.mktemp("fuzz"), table(content + struct.pack("<2I", 0, 1))))
