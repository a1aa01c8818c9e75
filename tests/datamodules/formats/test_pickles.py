import os
import pickle
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import numpy as np
import pytest

from datamodules.errors import DatasetCorruptedError
from datamodules.formats.pickles import LONG_TEXT, load_arrays, loads_arrays

# Written by cPickle and by pickle of Python 2.7.18 with numpy 1.16.6, protocol 0:
# {"label": np.array([0, 7], "i4"), "data": np.array([[1.5, -2.0, 1e300]])}, and in the first also
# "one": np.float32(0.1).
C_TEXT = (
    b"(dp1\nS'one'\np2\ncnumpy.core.multiarray\nscalar\np3\n(cnumpy\ndtype\np4\n(S'f4'\nI0\nI1\n"
    b"tRp5\n(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbS'\\xcd\\xcc\\xcc='\ntRp6\nsS'data'\np7\n"
    b"cnumpy.core.multiarray\n_reconstruct\np8\n(cnumpy\nndarray\np9\n(I0\ntS'b'\ntRp10\n(I1\n"
    b"(I1\nI3\ntg4\n(S'f8'\nI0\nI1\ntRp11\n(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    b"S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xc0\\x9cu\\x00\\x88<\\xe47~'\n"
    b"tbsS'label'\np12\ng8\n(g9\n(I0\ntS'b'\ntRp13\n(I1\n(I2\ntg4\n(S'i4'\nI0\nI1\ntRp14\n(I3\n"
    b"S'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x00\\x00\\x00\\x00\\x07\\x00\\x00\\x00'\ntbs."
)
TEXT = (
    b"(dp0\nS'data'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\n"
    b"tp4\nS'b'\np5\ntp6\nRp7\n(I1\n(I1\nI3\ntp8\ncnumpy\ndtype\np9\n(S'f8'\np10\nI0\nI1\ntp11\n"
    b"Rp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\n"
    b"S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xc0\\x9cu\\x00\\x88<\\xe47~'\n"
    b"p15\ntp16\nbsS'label'\np17\ng2\n(g3\n(I0\ntp18\ng5\ntp19\nRp20\n(I1\n(I2\ntp21\ng9\n"
    b"(S'i4'\np22\nI0\nI1\ntp23\nRp24\n(I3\nS'<'\np25\nNNNI-1\nI-1\nI0\ntp26\nbI00\n"
    b"S'\\x00\\x00\\x00\\x00\\x07\\x00\\x00\\x00'\np27\ntp28\nbs."
)


@pytest.mark.parametrize("raw", [C_TEXT, TEXT])
def test_python_2_text(raw: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        pickle.loads(raw)
    found = loads_arrays(raw, "here")
    np.testing.assert_array_equal(found["label"], np.array([0, 7], np.int32), strict=True)
    np.testing.assert_array_equal(found["data"], np.array([[1.5, -2.0, 1e300]]), strict=True)
    if raw is C_TEXT:
        assert found["one"] == np.float32(0.1)
        assert found["one"].dtype == np.float32


def long_string(data: bytes) -> bytes:
    return b"T" + len(data).to_bytes(4, "little") + data


@pytest.mark.parametrize("size", [LONG_TEXT // 8 - 1, LONG_TEXT // 8, LONG_TEXT])
def test_long_strings_of_python_2_are_contents_of_arrays_or_text(size: int) -> None:
    """As the standard library and numpy have them."""
    values = np.random.default_rng(0).normal(size=(1, size))
    raw = TEXT.replace(b"(I1\nI3\n", f"(I1\nI{size}\n".encode())
    start, stop = raw.index(b"S'\\x00"), raw.index(b"p15")
    raw = raw[:start] + long_string(values.tobytes()) + raw[stop:]
    np.testing.assert_array_equal(loads_arrays(raw, "here")["data"], values, strict=True)
    np.testing.assert_array_equal(pickle.loads(raw, encoding="latin1")["data"], values)
    text = bytes(range(256)) * (size // 32)
    string = long_string(text)
    for made in (string + b".", b"(" + string + b"t.", b"(" + string + b"l."):
        assert loads_arrays(made, "here") == pickle.loads(made, encoding="latin1")


ARRAYS = {
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(3, dtype=">i2"),
    "flags": np.array([True, False]),
    "names": np.array(["ab", "c"]),
    "bytes": np.array([b"ab", b"c"]),
    "zero_dimensional": np.array(3.5),
    "complex": np.array([1 + 2j]),
    "strided": np.arange(6.0)[::2],
    "exchanged_axes": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ARRAYS)
def test_every_plain_type_and_protocol(name: str, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "some.pkl"
    path.write_bytes(pickle.dumps({name: ARRAYS[name]}, protocol=protocol))
    found = load_arrays(path)[name]
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, ARRAYS[name], strict=True)


def test_buffers_of_either_numpy_lie_in_the_file(tmp_path: Path) -> None:
    raw = pickle.dumps(ARRAYS["columns"], protocol=5)
    new, old = b"\x8c\x13numpy._core.numeric", b"\x8c\x12numpy.core.numeric"
    assert raw.count(new) == 1
    raw = b"\x80\x05" + raw[11:]  # without the frame, whose length would change
    for name in (new, old):
        found = loads_arrays(raw.replace(new, name), "here")
        np.testing.assert_array_equal(found, ARRAYS["columns"], strict=True)
        assert not found.flags.writeable
    empty = loads_arrays(pickle.dumps(np.zeros((0, 3)), protocol=5), "here")
    np.testing.assert_array_equal(empty, np.zeros((0, 3)), strict=True)
    elsewhere = pickle.dumps(ARRAYS["columns"], protocol=5, buffer_callback=lambda _: None)
    with pytest.raises(DatasetCorruptedError, match="expected a whole pickle"):
        loads_arrays(elsewhere, "here")
    with pytest.raises(DatasetCorruptedError, match="array buffer of order 'X'"):
        loads_arrays(raw.replace(b"\x8c\x01F", b"\x8c\x01X"), "here")


def test_places_and_sharing_are_kept() -> None:
    array = np.arange(3.0)
    values: dict[str, Any] = {"nested": [(array, {"n": 1})], "again": array, "type": array.dtype}
    values["itself"] = values
    values["scalar"] = np.float64(2.5)
    found = loads_arrays(pickle.dumps(values, protocol=2), "here")
    assert found["nested"][0][0] is found["again"]
    assert found["nested"][0][1] == {"n": 1}
    assert found["type"] == np.float64
    assert found["itself"] is found
    assert found["scalar"] == 2.5
    assert not found["again"].flags.writeable


def test_a_bomb_of_shared_lists_is_walked_once() -> None:
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    assert len(loads_arrays(pickle.dumps(value, protocol=2), "here")) == 2


def twice(depth: int, last: object = 0) -> tuple[Any, ...]:
    """A tuple that holds the same tuple twice, to a depth."""
    value: tuple[Any, ...] = (last,)
    for _ in range(depth):
        value = (value, value)
    return value


def as_key(value: bytes, middle: bytes = b"") -> bytes:
    """The pickle of a dict with a value as its key, which Python itself cannot make."""
    return b"\x80\x02}" + middle + value[2:-1] + b"K\x01s."


ENDLESS = pickle.dumps(twice(60), protocol=2)
HOSTILE = {
    "a tuple": ENDLESS,
    "a tuple as a key": as_key(ENDLESS),
    "a tuple in a list": pickle.dumps({"subject": [twice(60)]}, protocol=2),
    "a tuple as a key in a dict in a list": b"\x80\x02](" + as_key(ENDLESS)[2:-1] + b"e.",
    "a tuple that is copied": b"\x80\x02)" + b"2\x86" * 60 + b".",
    "a tuple with a mark": b"\x80\x02)" + b"q\x00(h\x00h\x00t" * 60 + b".",
    "a tuple in text": b"(t" + b"p0\n(g0\ng0\nt" * 60 + b".",
    "a tuple as a member of a set": b"\x80\x04\x8f(" + ENDLESS[2:-1] + b"\x90.",
    "a tuple in a frozen set": b"\x80\x04(" + ENDLESS[2:-1] + b"\x91.",
    "a tuple as a shape": C_TEXT.replace(b"(I1\n(I2\nt", b"(I1\n)" + b"2\x86" * 60),
    "a tuple as a type": b"cnumpy\ndtype\n)" + b"2\x86" * 60 + b"\x85R.",
    "a tuple as an encoding": b"c_codecs\nencode\nS'x'\n)" + b"2\x86" * 60 + b"\x86R.",
    "a wide tuple": pickle.dumps(tuple(range(5000)), protocol=2),
    "nested tuples": b"\x80\x02)" + b"\x85" * 1_000_000 + b".",
    "nested lists": b"\x80\x02" + b"](" * 500_000 + b"e" * 500_000 + b".",
    "a long list": b"\x80\x02](" + b"K\x01" * 2_000_000 + b"e.",
    "a long name": b"c" + b"a" * 5_000_000 + b"\nb\n.",
    "a text many times, as a shape": C_TEXT.replace(
        b"(I1\n(I2\nt", b"(I1\n(S'" + b"x" * 1000 + b"'\nI100000000\nt"
    ),
    "a number without end": b"\x80\x02\x8b\x40\x42\x0f\x00" + b"\x7f" * 1_000_000 + b".",
    "a text of many bytes": b"\x80\x02X\x40\x42\x0f\x00" + b"x" * 1_000_000 + b".",
    "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
}
"""Small files that Python would count through, or print, for longer than anybody waits."""


@pytest.mark.parametrize("name", HOSTILE)
def test_what_has_no_end_is_refused_or_shown_in_short(name: str, tmp_path: Path) -> None:
    """In a process of its own, which is ended after a minute."""
    path = tmp_path / "hostile.pkl"
    path.write_bytes(HOSTILE[name])
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from datamodules.errors import DatasetCorruptedError\n"
        "from datamodules.formats.arrays import listed, shown\n"
        "from datamodules.formats.pickles import load_arrays\n"
        "try:\n"
        "    value = load_arrays(Path(sys.argv[1]))\n"
        "    print(shown(value), listed(value if isinstance(value, list) else [value]))\n"
        "except DatasetCorruptedError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert 0 < len(done.stdout) < 1000
    if "tuple" in name:
        assert "expected a" in done.stdout


def test_bounds_are_far_from_what_is_read() -> None:
    content = {trial: np.zeros((4, 31)) for trial in range(1000)}
    assert len(loads_arrays(pickle.dumps(content, protocol=0), "here")) == 1000
    assert loads_arrays(pickle.dumps(tuple(range(900)), protocol=2), "here") == tuple(range(900))


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_harmful_file_is_refused_and_not_run(protocol: int, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    raw = pickle.dumps({"label": Harmful(touched)}, protocol=protocol)
    path = tmp_path / "harmful.pkl"
    path.write_bytes(raw)
    with pytest.raises(DatasetCorruptedError) as caught:
        load_arrays(path)
    assert not touched.exists()
    message = str(caught.value)
    assert str(path) in message
    assert ".system" in message
    assert "nothing was run" in message
    pickle.loads(raw)
    assert touched.exists()


def test_an_object_array_hides_nothing(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    for content in (Harmful(touched), "harmless"):
        hidden = np.array([content], dtype=object)
        with pytest.raises(DatasetCorruptedError, match="nothing was run"):
            loads_arrays(pickle.dumps(hidden, protocol=2), "here")
    assert not touched.exists()


REFUSED = {
    "old style instance": (b"(S'true'\nios\nsystem\n.", "os.system"),
    "python 2 builtin": (b"c__builtin__\neval\n(S'1'\ntR.", "__builtin__.eval"),
    "numpy function": (b"cnumpy\nload\n(S'x'\ntR.", "numpy.load"),
    "numpy module": (b"cnumpy.core.multiarray\nfromfile\n.", "multiarray.fromfile"),
    "dotted": (b"\x80\x04\x8c\x05numpy\x8c\x0ddtype.__new__\x93.", "numpy.dtype.__new__"),
    "array by call": (b"cnumpy\nndarray\n((I9\ntI0\ntR.", "numpy.ndarray"),
    "array subclass": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
        "class of its own",
    ),
    "other codec": (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.", "rot13"),
    "object type": (b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.", "O8"),
    "record type": (
        b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nN(S'a'\nt(dI8\nI1\nI0\ntb.",
        "records",
    ),
    "larger type": (
        b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI64\nI1\nI0\ntb.",
        "records",
    ),
    "function changed": (b"cnumpy\ndtype\n(dS'_call'\nI1\nsb.", "change a function"),
    "function slot changed": (b"cnumpy\ndtype\n(N(dS'_call'\nI1\nstb.", "change a function"),
    "function kept": (b"(lcnumpy\ndtype\na.", "sealed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    raw, named = REFUSED[name]
    with pytest.raises(DatasetCorruptedError, match="nothing was run") as caught:
        loads_arrays(raw, "here")
    assert named in str(caught.value)
    assert "here" in str(caught.value)
    assert loads_arrays(C_TEXT, "here")["label"].tolist() == [0, 7]


@pytest.mark.parametrize("raw", [C_TEXT, pickle.dumps(ARRAYS, protocol=2)])
def test_every_truncation(raw: bytes) -> None:
    for length in range(len(raw)):
        with pytest.raises(DatasetCorruptedError, match="here"):
            loads_arrays(raw[:length], "here")


BOMBS = {
    "text name": b"(dp30000000\n.",
    "binary name": b"\x80\x02}r\0\0\0\x02.",
    "framed name": b"\x80\x04\x95\x07\0\0\0\0\0\0\0}r\0\0\0\x02.",
    "string": b"T\xff\xff\xff\x7f.",
    "bytes": b"\x80\x04\x8e\0\0\0\0\x01\0\0\0.",
    "frame": b"\x80\x04\x95\0\0\0\0\x01\0\0\0N.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_sizes_beyond_the_file_take_no_memory(name: str) -> None:
    before = getrusage(RUSAGE_SELF).ru_maxrss
    if name == "frame":
        assert loads_arrays(BOMBS[name], "here") is None
    else:
        with pytest.raises(DatasetCorruptedError, match="here"):
            loads_arrays(BOMBS[name], "here")
    kilobyte = 1024 if sys.platform == "darwin" else 1
    assert getrusage(RUSAGE_SELF).ru_maxrss - before < 50_000 * kilobyte


def test_single_wrong_bytes_raise_only_our_error() -> None:
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(3000):
        raw = bytearray(C_TEXT)
        raw[rng.integers(len(raw))] = rng.integers(256)
        try:
            loads_arrays(bytes(raw), "here")
            outcomes.add("read")
        except DatasetCorruptedError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("raw", [b"", b"a,b\n1,2\n", b"PK\x03\x04" + bytes(99), b"\x89HDF\r\n"])
def test_no_pickle_at_all(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "S2.pkl"
    path.write_bytes(raw)
    with pytest.raises(DatasetCorruptedError, match=r"S2\.pkl"):
        load_arrays(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"(I2\nt", b"(I3\nt", "8 bytes for an array of"),
        (b"'\\xcd\\xcc\\xcc='", b"'\\xcd\\xcc='", "3 bytes for one float32"),
        (b"'\\xcd\\xcc\\xcc='", b"'\\qcd\\xcc\\xcc='", "invalid escape"),
    ],
)
def test_contents_that_do_not_fit(old: bytes, new: bytes, message: str) -> None:
    assert old in C_TEXT
    with pytest.raises(DatasetCorruptedError, match=message):
        loads_arrays(C_TEXT.replace(old, new), "here")
