from pathlib import Path

import numpy as np
import pytest

from datamodules.samples import (
    DamagedError,
    checksum,
    checksums,
    join_samples,
    map_samples,
    write_samples,
)

SAMPLES = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)


def test_the_file_is_numpys(tmp_path: Path) -> None:
    write_samples(tmp_path / "ours.npy", SAMPLES[:, ::2])
    np.save(tmp_path / "numpys.npy", SAMPLES[:, ::2].copy())
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpys.npy").read_bytes()
    np.testing.assert_array_equal(map_samples(tmp_path / "ours.npy", (3, 25)), SAMPLES[:, ::2])


@pytest.mark.parametrize("by_time", [False, True])
@pytest.mark.parametrize("cuts", [[], [7], [0, 7, 30, 50]])
def test_pieces_make_the_whole(tmp_path: Path, by_time: bool, cuts: list[int]) -> None:
    path, bounds = tmp_path / "joined.npy", (0, *cuts, 50)
    pieces = np.split(SAMPLES, cuts, axis=1)
    join_samples(path, (3, 50), by_time, pieces)
    joined = np.load(path)
    np.testing.assert_array_equal(joined, SAMPLES)
    assert joined.flags.f_contiguous == by_time
    np.testing.assert_array_equal(map_samples(path, (3, 50), by_time), SAMPLES)
    assert checksums(path, (3, 50), by_time, bounds) == tuple(map(checksum, pieces))


def test_a_checksum_is_of_values_in_their_places() -> None:
    # The CRC-32 of RFC 1952 of "123456789" is cbf43926, by its own check value.
    text = np.frombuffer(b"12345678", np.float32).reshape(1, 2)
    assert checksum(text) == 0x9AE0DAAF
    for other in (SAMPLES[::-1], SAMPLES[:, ::-1], SAMPLES[:2], -SAMPLES, SAMPLES.T):
        assert checksum(other) != checksum(SAMPLES)
    assert checksum(np.asfortranarray(SAMPLES)) == checksum(SAMPLES)
    assert checksum(SAMPLES[:, :0]) == 0


@pytest.mark.parametrize(
    ("shape", "by_time"), [((50, 3), False), ((3, 49), False), ((1, 150), False), ((3, 50), True)]
)
def test_another_array_is_not_opened(tmp_path: Path, shape: tuple[int, int], by_time: bool) -> None:
    write_samples(tmp_path / "a.npy", SAMPLES)
    for look in (map_samples, lambda *args: checksums(*args, bounds=(0, shape[1]))):
        with pytest.raises(DamagedError, match=r"a\.npy"):
            look(tmp_path / "a.npy", shape, by_time)
    with pytest.raises(DamagedError, match=r"b\.npy"):
        map_samples(tmp_path / "b.npy", shape, by_time)
