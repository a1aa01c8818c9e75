import numpy as np
import numpy.typing as npt
import pytest

from datamodules.formats.clocks import DISTINCT, PAIRS, RUN, doubled_rows, doubts_of_clocks

RATES = {"bvp": 64.0, "eda": 4.0, "temp": 4.0, "acc": 32.0}
LONGEST = 500


def noise(n_times: int = 4000, n_channels: int = 1) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(n_channels, n_times)).round(2).astype(np.float32)


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("length", [RUN, 17, 100, LONGEST])
@pytest.mark.parametrize("start", [0, 1, 777, 3400])
def test_a_stretch_that_comes_twice(start: int, length: int, n_channels: int) -> None:
    samples = noise(n_channels=n_channels)
    twice = np.concatenate([samples[:, : start + length], samples[:, start:]], axis=1)
    assert doubled_rows(samples, LONGEST) is None
    assert doubled_rows(twice, LONGEST) == (start, length)


@pytest.mark.parametrize("count", [PAIRS + 1, 200])
def test_rows_that_each_come_twice(count: int) -> None:
    samples = noise()
    each = np.concatenate(
        [samples[:, :500], np.repeat(samples[:, 500 : 500 + count], 2, axis=1), samples[:, 600:]],
        axis=1,
    )
    found = doubled_rows(each, LONGEST)
    assert found is not None
    assert abs(found[0] - 500) <= 1
    assert abs(found[1] - count) <= 1


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((1, 4000), np.float32),  # a sensor that rests
        np.tile(np.arange(DISTINCT - 1, dtype=np.float32), 200)[None],
        noise(2 * RUN - 1),
        noise()[:, :0],
        np.repeat(noise(1000), 4, axis=1),  # a slow sensor: each value four times
    ],
)
def test_what_is_no_doubled_stretch(samples: npt.NDArray[np.float32]) -> None:
    assert doubled_rows(samples, LONGEST) is None


def test_a_stretch_that_comes_again_later_or_is_too_long() -> None:
    samples = noise()
    later = np.concatenate([samples[:, :1000], samples[:, 100:200]], axis=1)
    assert doubled_rows(later, LONGEST) is None
    twice = np.concatenate([samples[:, :1501], samples[:, 1000:]], axis=1)
    assert doubled_rows(twice, LONGEST) is None
    assert doubled_rows(twice, LONGEST + 1) == (1000, 501)


def clock_doubts(starts: dict[str, float], stops: dict[str, float]) -> list[str]:
    of_starts = dict.fromkeys(RATES, 100.0) | starts
    of_stops = dict.fromkeys((*RATES, "hr"), 400.0) | stops
    return list(doubts_of_clocks(of_starts, of_stops, RATES))


def test_clocks_that_agree() -> None:
    assert clock_doubts({}, {}) == []
    assert clock_doubts({"eda": 99.75, "acc": 100 - 1 / 32}, {"eda": 407.0, "temp": 395.0}) == []
    assert clock_doubts({}, {"hr": 401.0, "acc": 397.9}) == []


@pytest.mark.parametrize(
    ("starts", "stops", "message"),
    [
        ({"eda": 99.7}, {}, "eda: starts 0.3 s before the last file"),
        ({"acc": 90.0}, {}, "acc: starts 10 s before the last file"),
        ({}, {"hr": 401.56}, "bvp and hr: hr ends 1.6 s after bvp, expected at most 1.25 s"),
        ({}, {"acc": 396.9}, "bvp and acc: acc ends 3.1 s before bvp, expected at most 2.5 s"),
    ],
)
def test_clocks_that_do_not(
    starts: dict[str, float], stops: dict[str, float], message: str
) -> None:
    (doubt,) = clock_doubts(starts, stops)
    assert doubt.startswith(message)


def test_a_signal_that_is_absent_is_not_compared() -> None:
    assert list(doubts_of_clocks({"eda": 1.0}, {"eda": 9.0, "hr": 99.0}, {"eda": 4.0})) == []
