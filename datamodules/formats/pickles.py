"""Old pickles that hold arrays and plain values only.

A pickle is a program: loading one runs whatever its author wrote. WESAD, DEAP and SEED-V ship
pickles all the same. The reader here knows the few calls that a pickled array consists of and
answers them itself, without numpy's own constructors; every other name in a file is refused before
anything is called.

The result consists of dicts, lists, tuples, numbers, strings and arrays. Byte strings of Python 2
are read as latin1, which keeps every byte.

A few hundred bytes can also make a value without end: a tuple that holds the same tuple twice,
which holds another twice, and so on. Python counts it through when it is the key of a dict and
when it is printed. So the steps of a pickle and the members of a tuple are bounded, and messages
show only the beginning of a value.
"""

import math
import pickle
import re
import warnings
from collections.abc import Callable
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from datamodules.errors import DatasetCorruptedError
from datamodules.formats.arrays import SHOWN, shown

PLAIN_TYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU][0-9]{1,9}")
"""Names of the sample types that are read: no objects, no records."""

MOST_STEPS = 200_000
"""Largest number of steps of a pickle, each a byte with or without an argument. A pickled array has
some twenty, and a file of SEED-V, DEAP or WESAD 45 arrays at most."""
MOST_MEMBERS = 1000
"""Largest number of members of a tuple, with those of the tuples in it. The tuples that an array
consists of have ten."""
LONGEST = 200
"""Largest number of characters of an error of the pickle machinery in a message."""
LONG_TEXT = 2**16
"""Bytes from which on a byte string of Python 2 is not decoded before it is known to be text: most
are contents of arrays. To decode and encode these took a quarter of the time in which the EEG of
DEAP is prepared."""
SETS = (pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET)
"""Steps that make sets, whose members are counted through as keys are."""

BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    DeprecationWarning,
)
"""Errors of the pickle machinery on files that are cut short or are no pickles."""


def load_arrays(path: Path) -> object:
    """Return the contents of a pickle that holds only arrays and plain values.

    A text file of 1 GB (WESAD) takes 5 s and 1 GB of memory.

    Args:
        path: A pickle of any protocol; Python 2 text included.

    Returns:
        The pickled value; arrays are read-only.

    Raises:
        DatasetCorruptedError: The file is cut short, is no pickle, or calls anything else; in the
            last case nothing of that has been run.
    """
    with path.open("rb") as file:
        return _load(file, str(path))


def loads_arrays(raw: bytes, name: str) -> object:
    """Return the contents of a pickle as ``load_arrays`` does, from bytes.

    Args:
        raw: The pickle.
        name: Name of the pickle in messages.
    """
    return _load(BytesIO(raw), name)


def _load(file: BinaryIO, name: str) -> object:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "invalid escape sequence")
            content = _Unpickler(_Guarded(file)).load()
        return _restore(content, {})
    except _RefusedError as error:
        raise DatasetCorruptedError(
            f"{name}: expected a pickle of arrays and plain values, found {error}. It was refused "
            "and nothing was run. Fetch the file anew from its publisher."
        ) from None
    except BROKEN as error:
        raise DatasetCorruptedError(
            f"{name}: expected a whole pickle, found one that cannot be read "
            f"({type(error).__name__}: {str(error)[:LONGEST]}). Fetch the file anew from its "
            "publisher."
        ) from error


class _Guarded:
    """A pickle's bytes, checked for numbers that would take memory out of proportion to its size.

    A length or the number of a name may be anything up to 2**64 in a damaged file, and room is made
    for it before it is used. The unpickler reads an opcode, then its argument; so the size of the
    next read tells whether a byte was an opcode.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, SEEK_END)
        self.last = b""
        self.n_steps = 0
        file.seek(0)

    def read(self, size: int) -> bytes:
        if size > self.size - self.file.tell():
            raise EOFError(f"it ends before {size} more bytes")
        data = self.file.read(size)
        if self.last == pickle.FRAME and size == 8:
            data = bytes(size)  # an empty frame: what is in it is read opcode by opcode
        elif self.last == pickle.LONG_BINPUT and size == 4:
            self.check(int.from_bytes(data, "little"))
        self.last = data if size == 1 else b""
        self.n_steps += size == 1
        if self.n_steps > MOST_STEPS:
            raise _RefusedError(f"more than {MOST_STEPS} steps")
        return data

    def readline(self) -> bytes:
        line = self.file.readline()
        if self.last == pickle.PUT:
            self.check(int(line))
        self.last = b""
        return line

    def check(self, number: int) -> None:
        if number > self.file.tell():
            raise ValueError(f"name number {number} after {self.file.tell()} bytes")


class _RefusedError(pickle.UnpicklingError):
    """The pickle refers to something that no array needs."""


class _Sealed:
    """The answer to a name in a pickle: it can be called or passed on, but not changed."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise _RefusedError("an attempt to change a function")


class _Type:
    """A sample type on its way out of a pickle."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        _, order, base, names, fields, size, *_ = state
        if (base, names, fields) != (None, None, None) or size not in (-1, self.dtype.itemsize):
            raise _RefusedError("an array of records")
        self.dtype = self.dtype.newbyteorder(order)


class _Text:
    """A long byte string of Python 2, which is text if no array takes it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class _Array:
    """An array on its way out of a pickle."""

    __slots__ = ("array",)

    array: npt.NDArray[Any]

    def __setstate__(self, state: Any) -> None:
        shape, kind, fortran, data = state[-4:]
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError(f"an array of shape {shown(shape)}")
        raw = _bytes(data)
        if math.prod(shape) * kind.dtype.itemsize != len(raw):
            raise ValueError(f"{len(raw)} bytes for an array of {shown(shape)} {kind.dtype}")
        self.array = np.ndarray(shape, kind.dtype, raw, order="F" if fortran else "C")


def _bytes(data: object) -> bytes:
    if isinstance(data, _Text):
        return data.data
    if isinstance(data, str):
        return data.encode("latin1")
    if isinstance(data, bytearray):
        return bytes(data)
    if not isinstance(data, bytes):
        raise _RefusedError(f"array contents that are a {type(data).__name__}, no bytes")
    return data


def _make_type(code: object, *_: object) -> _Type:
    if not isinstance(code, str) or not PLAIN_TYPE.fullmatch(code):
        raise _RefusedError(f"an array of type {shown(code)}")
    return _Type(np.dtype(code))


def _make_array(kind: object, *_: object) -> _Array:
    if kind is not _NDARRAY:
        raise _RefusedError("an array of a class of its own")
    return _Array()


def _make_buffered(
    data: object, kind: object, shape: Any, order: object, axes: Any = None
) -> _Array:
    """Return the array that protocol 5 makes of a buffer.

    Args:
        data: Contents of the array.
        kind: Type of its samples.
        shape: Its shape; of the array before ``axes`` are exchanged.
        order: ``"C"`` or ``"F"``; ``"K"``: as ``axes`` say.
        axes: Order of the axes of an array that lies neither way in memory.
    """
    if not isinstance(kind, _Type) or order not in ("C", "F", "K"):
        raise _RefusedError(f"an array buffer of order {shown(order)}")
    made = _Array()
    made.__setstate__((shape, kind, order == "F", data))
    if axes is not None:
        made.array = made.array.transpose(axes)
    return made


def _make_scalar(kind: object, data: object) -> object:
    if not isinstance(kind, _Type):
        raise _RefusedError("a number without a type")
    raw = _bytes(data)
    if len(raw) != kind.dtype.itemsize:
        raise ValueError(f"{len(raw)} bytes for one {kind.dtype}")
    return np.frombuffer(raw, kind.dtype)[0]


def _encode(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _RefusedError(f"_codecs.encode to {shown(encoding)}")
    return text.encode("latin1")


def _no_array(*_: object) -> NoReturn:
    raise _RefusedError("a direct call of numpy.ndarray")


_NDARRAY = _Sealed(_no_array)

NAMES = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Sealed(_make_type),
    ("numpy.core.multiarray", "_reconstruct"): _Sealed(_make_array),
    ("numpy._core.multiarray", "_reconstruct"): _Sealed(_make_array),
    ("numpy.core.numeric", "_frombuffer"): _Sealed(_make_buffered),
    ("numpy._core.numeric", "_frombuffer"): _Sealed(_make_buffered),
    ("numpy.core.multiarray", "scalar"): _Sealed(_make_scalar),
    ("numpy._core.multiarray", "scalar"): _Sealed(_make_scalar),
    ("_codecs", "encode"): _Sealed(_encode),
}
"""All names that a pickle may refer to, and the answers to them."""


class _Unpickler(pickle._Unpickler):
    """The unpickler that is written in Python, as the other one does not say what it makes."""

    dispatch = dict(pickle._Unpickler.dispatch)
    stack: list[object]

    def __init__(self, file: _Guarded) -> None:
        super().__init__(file, fix_imports=False, encoding="latin1")
        self.members: dict[int, int] = {}
        self.tuples: list[object] = []

    def _decode_string(self, value: bytes) -> "str | _Text":
        return _Text(value) if len(value) >= LONG_TEXT else value.decode("latin1")

    def find_class(self, module: str, name: str) -> _Sealed:
        answer = NAMES.get((module, name))
        if answer is None:
            raise _RefusedError(f"a call for {module[:SHOWN]}.{name[:SHOWN]}")
        return answer

    def count(self) -> None:
        """Count the members of the tuple that was made last, with those of the tuples in it."""
        made = self.stack[-1]
        if not isinstance(made, tuple):  # where the file lacks the members
            return
        members = sum(1 + self.members.get(id(member), 0) for member in made)
        if members > MOST_MEMBERS:
            raise _RefusedError(f"a tuple with more than {MOST_MEMBERS} members")
        self.members[id(made)] = members
        self.tuples.append(made)  # so that no other value has its id


def _counted(make: Callable[[Any], None]) -> Callable[[Any], None]:
    def make_and_count(unpickler: _Unpickler) -> None:
        make(unpickler)
        unpickler.count()

    return make_and_count


def _refuse_set(unpickler: Any) -> NoReturn:
    raise _RefusedError("a set among the values")


for _step in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
    _Unpickler.dispatch[_step[0]] = _counted(_Unpickler.dispatch[_step[0]])
for _step in SETS:
    _Unpickler.dispatch[_step[0]] = _refuse_set


def _restore(value: Any, done: dict[int, tuple[object, object]]) -> object:
    """Return a value with finished arrays in it.

    Args:
        value: Any part of the unpickled contents.
        done: Containers that were restored before, and their results, by id.
    """
    if id(value) in done:
        return done[id(value)][1]
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, _Type):
        return value.dtype
    if isinstance(value, _Text):
        return value.data.decode("latin1")
    if isinstance(value, _Sealed | set | frozenset):
        raise _RefusedError(f"a {type(value).__name__.strip('_').lower()} among the values")
    if isinstance(value, dict):
        done[id(value)] = value, value
        for key in value:
            value[key] = _restore(value[key], done)
    elif isinstance(value, list):
        done[id(value)] = value, value
        value[:] = [_restore(item, done) for item in value]
    elif isinstance(value, tuple):
        restored = tuple([_restore(item, done) for item in value])
        done[id(value)] = value, restored
        return restored
    return value
