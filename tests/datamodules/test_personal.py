"""Scaling a person, against plain loops over windows with numpy."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from datamodules.archive import Archive
from datamodules.baseline import baselines
from datamodules.personal import (
    resting_means,
    scaled_by_all,
    scaled_by_past,
    shifted_by_rest,
    spread,
)
from datamodules.scaling import Scaling
from datamodules.signals.recording import Recording
from datamodules.stored import as_recording
from datamodules.tasks import ConditionTask
from datamodules.windows import WindowIndex, index_windows

TASK = ConditionTask(
    "stress", ("rest", "stress"), {"rest": 0, "stress": 1}, source="test", rest=("rest",)
)
SIGNALS = ("fast", "slow")


@pytest.fixture
def parted(archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]) -> Archive:
    """Two people; the first has two sessions, the first of which is stored in two pieces.

    The later piece of that session comes first, and levels are large beside spreads.
    """
    spans = [(1.0, 21.0, "rest"), (22.0, 42.0, "stress")]

    def piece(subject: str, seed: int, session: str, offset: float) -> Recording:
        made = replace(make_recording(subject, spans, seed, session), offset=offset)
        for number, signal in enumerate(made.signals.values()):
            signal.samples[:] += 1000.0 * (number + seed)
        return made

    return archive_of(
        {
            "S1": (piece("S1", 1, "a", 60.0), piece("S1", 2, "a", 0.0), piece("S1", 3, "b", 0.0)),
            "S2": (piece("S2", 4, "a", 0.0),),
        }
    )


@pytest.fixture
def windows(parted: Archive) -> WindowIndex:
    return index_windows(parted, TASK, 5.0, 2.5, None, in_units=False)


def samples_of(archive: Archive, row: int, signal: str) -> npt.NDArray[np.float64]:
    """Samples of a recording, read from its own file."""
    pieces = [(s, n) for s in archive.subjects for n in range(len(s.recordings))]
    return as_recording(*pieces[row]).signals[signal].samples.astype(np.float64)


def before(
    archive: Archive, windows: WindowIndex, row: int, signal: str
) -> npt.NDArray[np.float64]:
    """Samples of a window's session up to its end, one recording after the other."""
    recordings = archive.recordings
    here = recordings[windows.recording[row]]
    earlier = [
        samples_of(archive, number, signal)
        for number, other in sorted(enumerate(recordings), key=lambda pair: pair[1].offset)
        if (other.subject, other.session) == (here.subject, here.session)
        and other.offset < here.offset
    ]
    sfreq = here.signals[signal].sfreq
    n_times = round(windows.length * sfreq)
    first = min(round(windows.start[row] * sfreq), here.signals[signal].n_times - n_times)
    here_alone = samples_of(archive, int(windows.recording[row]), signal)[:, : first + n_times]
    return np.concatenate([*earlier, here_alone], axis=1)


def test_windows_are_scaled_by_all_of_their_person(parted: Archive, windows: WindowIndex) -> None:
    scaling = scaled_by_all(parted, SIGNALS, windows)
    for signal in SIGNALS:
        for row in range(len(windows)):
            subject = parted.recordings[windows.recording[row]].subject
            everything = np.concatenate(
                [
                    samples_of(parted, number, signal)
                    for number, recording in enumerate(parted.recordings)
                    if recording.subject == subject
                ],
                axis=1,
            )
            assert scaling.mean[signal][row].numpy() == pytest.approx(
                everything.mean(axis=1, keepdims=True), rel=1e-6
            )
            assert scaling.std[signal][row].numpy() == pytest.approx(
                everything.std(axis=1, keepdims=True), rel=1e-6
            )


def test_windows_are_scaled_by_what_was_recorded_by_their_end(
    parted: Archive, windows: WindowIndex
) -> None:
    scaling = scaled_by_past(parted, SIGNALS, windows)
    for signal in SIGNALS:
        for row in range(len(windows)):
            past = before(parted, windows, row, signal)
            assert scaling.mean[signal][row].numpy() == pytest.approx(
                past.mean(axis=1, keepdims=True), rel=1e-6
            )
            assert scaling.std[signal][row].numpy() == pytest.approx(
                past.std(axis=1, keepdims=True), rel=1e-5
            )


def test_nothing_after_the_end_of_a_window_has_a_say(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    spans = [(1.0, 21.0, "rest"), (22.0, 42.0, "stress")]
    scaled = []
    for later in (0.0, 1e6):
        made = make_recording("S1", spans)
        for signal in made.signals.values():
            signal.samples[:, round(20 * signal.sfreq) :] += later
        archive = archive_of({"S1": (made,)})
        index = index_windows(archive, TASK, 5.0, 2.5, None, in_units=False)
        early = index.take(np.flatnonzero(index.start <= 15.0))
        scaled.append(scaled_by_past(archive, SIGNALS, early))
        assert len(early) > 3
    for signal in SIGNALS:
        assert np.array_equal(scaled[0].mean[signal], scaled[1].mean[signal])
        assert np.array_equal(scaled[0].std[signal], scaled[1].std[signal])


def test_people_are_shifted_by_their_level_at_rest(parted: Archive, windows: WindowIndex) -> None:
    rests = baselines(parted, TASK, 10.0)
    means = {signal: resting_means(parted, signal, rests) for signal in SIGNALS}
    given = scaled_by_all(parted, SIGNALS, windows)
    one = Scaling({s: v[0] for s, v in given.mean.items()}, {s: v[0] for s, v in given.std.items()})
    scaling = shifted_by_rest(parted, means, one, windows)
    for signal in SIGNALS:
        for row in range(len(windows)):
            subject = parted.recordings[windows.recording[row]].subject
            first = next(n for n, r in enumerate(parted.recordings) if r.subject == subject)
            sfreq = parted.recordings[first].signals[signal].sfreq
            rest = samples_of(parted, first, signal)[:, round(sfreq) : round(11 * sfreq)]
            assert scaling.mean[signal][row].numpy() == pytest.approx(
                rest.mean(axis=1, keepdims=True), rel=1e-6
            )
            assert np.array_equal(scaling.std[signal][row], one.std[signal])


def test_what_never_changes_is_divided_by_one(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    made = make_recording("S1", [(0.0, 20.0, "rest"), (20.0, 40.0, "stress")])
    made.signals["fast"].samples[1] = 1234.5678
    archive = archive_of({"S1": (made,)})
    index = index_windows(archive, TASK, 5.0, 5.0, None, in_units=False)
    for scaling in (
        scaled_by_all(archive, SIGNALS, index),
        scaled_by_past(archive, SIGNALS, index),
    ):
        assert (scaling.std["fast"][:, 1] == 1).all()
        assert (scaling.std["fast"][:, 0] != 1).all()
    assert spread(np.array([0.0, -1e-18, 4.0]), np.zeros(3)).tolist() == [1.0, 1.0, 2.0]
