"""Binary pickles as Python 2 wrote them, which the default encoding of Python 3 does not read."""

import struct
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt


def write_python2_binary(value: Any, file: BinaryIO) -> None:
    """Write a pickle of protocol 2 as cPickle of Python 2.7 with numpy does.

    Args:
        value: Dicts with more than one item, strings in ASCII, and arrays of float64 of one to
            three axes in C order.
        file: Open for writing bytes.

    Raises:
        TypeError: Anything else.
    """
    file.write(b"\x80\x02")
    _Python2Binary(file).write(value)
    file.write(b".")


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
NDARRAY, DTYPE = b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"
FLOAT64 = b"U\x02f8K\x00K\x01\x87R"
"""Arguments and call that make the type; the name of the function is before them."""


class _Python2Binary:
    """Writes values as binary opcodes, and names and reuses those that Python 2 reused."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.named = 0
        self.names: dict[bytes, int] = {}

    def write(self, value: Any) -> None:
        if isinstance(value, dict) and len(value) > 1:
            self.file.write(b"}")
            self.name()
            self.file.write(b"(")
            for key, item in value.items():
                self.write(key)
                self.write(item)
            self.file.write(b"u")
        elif isinstance(value, str):
            raw = value.encode("ascii")
            self.once(_length(len(raw)) + raw)
        elif isinstance(value, np.ndarray):
            self.array(value)
        else:
            raise TypeError(f"expected a dict, a string or an array, found {type(value)}")

    def array(self, value: npt.NDArray[Any]) -> None:
        if value.dtype.str != "<f8" or not value.flags.c_contiguous or not 1 <= value.ndim <= 3:
            raise TypeError(
                f"expected float64 of one to three axes in C order, found {value.dtype} "
                f"{value.shape}"
            )
        self.once(RECONSTRUCT)
        self.once(NDARRAY)
        self.file.write(b"K\x00\x85U\x01b\x87R")
        self.name()
        lengths = b"".join(_integer(length) for length in value.shape)
        self.file.write(b"(K\x01" + lengths + (b"\x85", b"\x86", b"\x87")[value.ndim - 1])
        if FLOAT64 in self.names:
            self.once(FLOAT64)
        else:
            self.once(DTYPE)
            self.once(FLOAT64)
            self.file.write(b"(K\x03U\x01<NNN" + 2 * _integer(-1) + b"K\x00tb")
        self.file.write(b"\x89" + _length(value.nbytes))
        self.file.write(value.data)
        self.file.write(b"tb")

    def once(self, opcodes: bytes) -> None:
        if opcodes in self.names:
            self.file.write(_named(b"h", b"j", self.names[opcodes]))
        else:
            self.file.write(opcodes)
            self.names[opcodes] = self.name()

    def name(self) -> int:
        self.named += 1
        self.file.write(_named(b"q", b"r", self.named))
        return self.named


def _named(short: bytes, long: bytes, number: int) -> bytes:
    return short + bytes([number]) if number < 256 else long + struct.pack("<i", number)


def _integer(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    return (
        b"M" + struct.pack("<H", value) if 0 <= value < 65536 else b"J" + struct.pack("<i", value)
    )


def _length(n_bytes: int) -> bytes:
    """Return opcode and length of a byte string."""
    return b"U" + bytes([n_bytes]) if n_bytes < 256 else b"T" + struct.pack("<i", n_bytes)
