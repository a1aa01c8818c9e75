"""Safetensors: files of tensors alone. Eight bytes of length, a JSON header, then the values.

The format is small enough to be read here, so that no package is asked for it.

References:
    https://github.com/huggingface/safetensors, "Format"
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

KINDS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Types of values by their names in the header."""
PREFIX = 8
"""Bytes that hold the length of the header."""
LARGEST_HEADER = 100 * 2**20


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Raises:
        ValueError: A file that is cut off, or no such file.
        OSError: It cannot be read.
    """
    content = path.read_bytes()
    length = int.from_bytes(content[:PREFIX], "little")
    start = PREFIX + length
    if length > LARGEST_HEADER or start > len(content):
        raise ValueError("a header that is longer than the file")
    header = json.loads(content[PREFIX:start])
    if not isinstance(header, dict):
        raise ValueError("a header that names no tensors")
    values = memoryview(bytearray(content[start:]))
    return {
        name: _tensor(values, entry) for name, entry in header.items() if name != "__metadata__"
    }


def _tensor(values: memoryview, entry: Any) -> Tensor:
    try:
        kind, shape = KINDS[entry["dtype"]], [int(size) for size in entry["shape"]]
        first, last = (int(place) for place in entry["data_offsets"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"a tensor that is none ({error})") from error
    count = math.prod(shape)
    if min(shape, default=0) < 0 or not 0 <= first <= last <= len(values):
        raise ValueError("tensors that end after the file does")
    if last - first != count * kind.itemsize:
        raise ValueError("tensors of other sizes than their shapes")
    if not count:
        return torch.empty(shape, dtype=kind)
    return torch.frombuffer(values[first:last], dtype=kind).reshape(shape)
