import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.io.matlab import MatReadError

from datamodules.errors import DatasetCorruptedError
from datamodules.formats.matlab import load_matlab


@pytest.fixture(params=[True, False], ids=["compressed", "plain"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    target = tmp_path / "some.mat"
    rng = np.random.default_rng(0)
    cells = np.empty((1, 3), object)
    cells[0] = [rng.normal(size=(40, 3)), np.empty((0, 0)), "N1"]
    content = {"cells": cells, "more": np.arange(4.0)}
    savemat(target, content, do_compression=request.param)
    return target


def test_only_what_is_asked_for(path: Path) -> None:
    found = load_matlab(path, ["cells"])
    assert list(found) == ["cells"]
    numbers, empty, text = found["cells"][0]
    np.testing.assert_array_equal(numbers, np.random.default_rng(0).normal(size=(40, 3)))
    assert empty.shape == (0, 0)
    assert text.tolist() == ["N1"]


def test_a_variable_that_is_not_there(path: Path) -> None:
    with pytest.raises(DatasetCorruptedError, match=r"some\.mat: expected a variable 'data', foun"):
        load_matlab(path, ["data"])


@pytest.mark.parametrize("length", [0, 1, 100, 127, 128, 150, 500])
def test_files_cut_short(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DatasetCorruptedError, match=r"some\.mat: expected"):
        load_matlab(path, ["cells", "more"])


def test_files_that_are_no_matlab_files(tmp_path: Path) -> None:
    path = tmp_path / "some.mat"
    for raw in (b"<html>404</html>" * 50, b"\x89HDF\r\n\x1a\n" + bytes(600)):
        path.write_bytes(raw)
        with pytest.raises(DatasetCorruptedError, match="expected a whole Matlab file"):
            load_matlab(path, ["cells"])


def with_trailing_bytes(raw: bytes) -> bytes:
    """The file with something after the contents of its first compressed variable."""
    kind, size = struct.unpack_from("<II", raw, 128)
    assert kind == 15
    packed = zlib.compress(zlib.decompress(raw[136 : 136 + size]) + bytes(8))
    return raw[:128] + struct.pack("<II", 15, len(packed)) + packed + raw[136 + size :]


def test_compression_that_scipy_by_itself_objects_to(tmp_path: Path) -> None:
    path = tmp_path / "some.mat"
    savemat(path, {"cells": np.arange(5000.0), "more": np.arange(4.0)}, do_compression=True)
    path.write_bytes(with_trailing_bytes(path.read_bytes()))
    with pytest.raises((MatReadError, ValueError), match="Did not fully consume"):
        loadmat(path)
    found = load_matlab(path, ["cells", "more"])
    np.testing.assert_array_equal(found["cells"], np.arange(5000.0)[None])
    np.testing.assert_array_equal(found["more"], np.arange(4.0)[None])


def test_damage_inside_a_compressed_variable_is_found(tmp_path: Path) -> None:
    path = tmp_path / "some.mat"
    savemat(path, {"cells": np.random.default_rng(0).normal(size=5000)}, do_compression=True)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x55
    path.write_bytes(bytes(raw))
    with pytest.raises(DatasetCorruptedError, match=r"some\.mat: expected a whole Matlab file"):
        load_matlab(path, ["cells"])
