import zlib
from pathlib import Path

import numpy as np
import pytest

from datamodules.samples import DamagedError, Layout, SamplesWriter, checksums, map_samples

SAMPLES = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)


def write(path: Path, by_time: bool = False, cuts: list[int] | None = None) -> list[bytes]:
    """Write the samples in pieces, and return the bytes of each piece."""
    with path.open("wb") as file:
        writer = SamplesWriter(file)
        pieces = np.split(SAMPLES, cuts or [], axis=1)
        written = [bytes(writer.write(piece, by_time)) for piece in pieces]
        writer.finish()
    return written


def test_the_file_is_numpys(tmp_path: Path) -> None:
    write(tmp_path / "ours.npy", cuts=[20])
    np.save(
        tmp_path / "numpys.npy", np.concatenate([SAMPLES[:, :20].ravel(), SAMPLES[:, 20:].ravel()])
    )
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpys.npy").read_bytes()


@pytest.mark.parametrize("by_time", [False, True])
@pytest.mark.parametrize("cuts", [[], [7], [1, 7, 30, 49]])
def test_pieces_are_mapped_apart(tmp_path: Path, by_time: bool, cuts: list[int]) -> None:
    path, pieces = tmp_path / "a.npy", np.split(SAMPLES, cuts, axis=1)
    written = write(path, by_time, cuts)
    layouts = tuple(Layout(3, piece.shape[1], by_time) for piece in pieces)
    for mapped, piece in zip(map_samples(path, layouts), pieces, strict=True):
        np.testing.assert_array_equal(mapped, piece, strict=True)
        assert mapped.T.flags.c_contiguous or not by_time
        assert mapped.flags.c_contiguous or by_time
    assert checksums(path, layouts) == tuple(map(zlib.crc32, written))
    values = np.concatenate([piece.T.ravel() if by_time else piece.ravel() for piece in pieces])
    assert b"".join(written) == values.tobytes()


def test_a_map_keeps_no_file_open(tmp_path: Path) -> None:
    """Systems allow few open files, and a dataset may have thousands of signals of subjects."""
    write(tmp_path / "a.npy")
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    maps = [map_samples(tmp_path / "a.npy", [Layout(3, 50, False)]) for _ in range(20)]
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files
    assert len(maps) == 20


def test_what_is_written_to_a_map_stays_in_memory(tmp_path: Path) -> None:
    write(tmp_path / "a.npy")
    (mapped,) = map_samples(tmp_path / "a.npy", [Layout(3, 50, False)])
    mapped[:] = 7
    (again,) = map_samples(tmp_path / "a.npy", [Layout(3, 50, False)])
    np.testing.assert_array_equal(again, SAMPLES)


@pytest.mark.parametrize(
    "layouts",
    [
        (Layout(3, 49, False),),
        (Layout(3, 50, False), Layout(3, 1, False)),
        (),
    ],
)
def test_another_array_is_not_opened(tmp_path: Path, layouts: tuple[Layout, ...]) -> None:
    write(tmp_path / "a.npy")
    for look in (map_samples, checksums):
        with pytest.raises(DamagedError, match=r"a\.npy"):
            look(tmp_path / "a.npy", layouts)
        with pytest.raises(DamagedError, match=r"b\.npy"):
            look(tmp_path / "b.npy", layouts)
