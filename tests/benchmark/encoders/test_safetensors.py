"""Safetensors: files as the format's description has them, byte by byte."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.encoders.safetensors import read_safetensors


def written(path: Path, header: object, values: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + values)
    return path


def entry(kind: str, shape: list[int], first: int, last: int) -> dict[str, object]:
    return {"dtype": kind, "shape": shape, "data_offsets": [first, last]}


def test_tensors_are_those_that_were_written(tmp_path):
    floats = np.arange(6, dtype="<f4").reshape(2, 3) / 7
    halves, whole = np.array([0.5, -2], "<f2"), np.array(3, "<i8")
    header = {
        "__metadata__": {"format": "pt"},
        "a.weight": entry("F32", [2, 3], 0, 24),
        "a.bias": entry("F16", [2], 24, 28),
        "count": entry("I64", [], 28, 36),
        "none": entry("F32", [0, 4], 36, 36),
    }
    values = floats.tobytes() + halves.tobytes() + whole.tobytes()
    tensors = read_safetensors(written(tmp_path / "x.safetensors", header, values))
    assert list(tensors) == ["a.weight", "a.bias", "count", "none"]
    np.testing.assert_array_equal(tensors["a.weight"].numpy(), floats)
    np.testing.assert_array_equal(tensors["a.bias"].numpy(), halves)
    assert tensors["count"].shape == ()
    assert tensors["count"].item() == 3
    assert tensors["none"].shape == (0, 4)


def test_bfloat_is_the_upper_half_of_a_float(tmp_path):
    upper = np.array([1.5, -3.0], "<f4").view("<u4") >> 16
    header = {"x": entry("BF16", [2], 0, 4)}
    path = written(tmp_path / "x.safetensors", header, upper.astype("<u2").tobytes())
    assert torch.equal(read_safetensors(path)["x"].float(), torch.tensor([1.5, -3.0]))


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ({"x": entry("F32", [2], 0, 8)}, b"1234"),  # cut off
        ({"x": entry("F32", [3], 0, 8)}, b"12345678"),
        ({"x": entry("F32", [2], 8, 0)}, b"12345678"),
        ({"x": entry("F32", [-2, -1], 0, 8)}, b"12345678"),
        ({"x": entry("CODE", [2], 0, 8)}, b"12345678"),
        ({"x": "F32"}, b""),
        (["x"], b""),
    ],
)
def test_file_that_is_none_is_refused(tmp_path, header, values):
    with pytest.raises(ValueError, match="tensor"):
        read_safetensors(written(tmp_path / "x.safetensors", header, values))


def test_header_that_is_longer_than_the_file_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes((2**60).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="header that is longer than the file"):
        read_safetensors(path)
