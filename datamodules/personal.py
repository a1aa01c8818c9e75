"""Scaling a person: by statistics of each person's own recordings, and of nobody else's labels.

Sums are float64, and relative to the first sample of a session, so that a large level costs no
digits of a small spread.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from datamodules.archive import Archive
from datamodules.baseline import Rest
from datamodules.resident import RESIDENT, Shelf
from datamodules.scaling import TINY, Scaling
from datamodules.windows import WindowIndex, first_samples, recorded_samples

Values = npt.NDArray[np.float64]
Moments = tuple[Values, Values]
"""Mean and standard deviation of each channel."""
_kept: Shelf[Moments] = RESIDENT.keep(Shelf(64))
"""Moments that folds share: by signal, of people or of windows."""


def spread(variance: Values, mean: Values) -> Values:
    """Return standard deviations; 1 for what never changes."""
    std = np.sqrt(np.maximum(variance, 0.0))
    return np.where(std <= np.maximum(1e-6 * np.abs(mean), TINY), 1.0, std)


def people(archive: Archive) -> npt.NDArray[np.int64]:
    """Return the number of the person of each recording, shape (recordings,)."""
    return _numbered([recording.subject for recording in archive.recordings])


def sittings(archive: Archive) -> npt.NDArray[np.int64]:
    """Return the number of the person's session of each recording, shape (recordings,)."""
    return _numbered([f"{one.subject}\n{one.session}" for one in archive.recordings])


def _numbered(names: Sequence[str]) -> npt.NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def scaled_by_all(archive: Archive, signals: Sequence[str], windows: WindowIndex) -> Scaling:
    """Return the scaling of windows by all samples of their person, all sessions together."""
    person = people(archive)[windows.recording]
    moments = {s: _kept.kept((archive, s), partial(_of_people, archive, s)) for s in signals}
    return _scaling({s: (mean[person], std[person]) for s, (mean, std) in moments.items()})


def scaled_by_past(archive: Archive, signals: Sequence[str], windows: WindowIndex) -> Scaling:
    """Return the scaling of windows by the samples of their session up to the end of each.

    Recordings of a session follow each other in order of their offsets.
    """
    return _scaling(
        {
            s: _kept.kept((archive, s, windows), partial(_running, archive, s, windows))
            for s in signals
        }
    )


def resting_means(archive: Archive, signal: str, rests: Mapping[str, Rest]) -> Values:
    """Return the mean of each channel of a signal over each person's baseline, (people, C)."""
    samples, offsets = archive.samples(signal), archive.offsets(signal)
    sfreq = archive.recordings[0].signals[signal].sfreq
    means = []
    for stored in archive.subjects:
        rest = rests[stored.subject]
        first, stop = (round(second * sfreq) for second in (rest.start, rest.stop))
        piece = samples[:, offsets[rest.recording] :][:, first : max(stop, first + 1)]
        means.append(piece.astype(np.float64).mean(axis=1))
    return np.array(means)


def shifted_by_rest(
    archive: Archive, means: Mapping[str, Values], scaling: Scaling, windows: WindowIndex
) -> Scaling:
    """Return the scaling of windows by their person's level at rest, and one spread for all.

    Args:
        archive: Recordings.
        means: From ``resting_means``, by signal.
        scaling: Spread of each channel.
        windows: Windows.
    """
    person = people(archive)[windows.recording]
    moments = {}
    for signal, mean in means.items():
        std = scaling.std[signal].numpy().T.astype(np.float64)  # (1, C)
        moments[signal] = mean[person], np.broadcast_to(std, (len(windows), std.shape[1]))
    return _scaling(moments)


def _scaling(moments: Mapping[str, Moments]) -> Scaling:
    """Return moments (N, C) as the scaling of N windows, (N, C, 1)."""
    mean, std = (
        {s: torch.tensor(both[part], dtype=torch.float32)[..., None] for s, both in moments.items()}
        for part in (0, 1)
    )
    return Scaling(mean, std)


def _of_people(archive: Archive, signal: str) -> Moments:
    """Return the moments of all samples of each person, shapes (people, C)."""
    person = people(archive)
    means, stds = [], []
    for number in range(len(archive.subjects)):
        pieces = [_piece(archive, signal, row) for row in np.flatnonzero(person == number).tolist()]
        count = sum(piece.shape[1] for piece in pieces)
        mean = np.sum([piece.sum(axis=1) for piece in pieces], axis=0) / count
        squares = [((piece - mean[:, None]) ** 2).sum(axis=1) for piece in pieces]
        means.append(mean)
        stds.append(spread(np.sum(squares, axis=0) / count, mean))
    return np.array(means), np.array(stds)


def _piece(archive: Archive, signal: str, row: int) -> Values:
    """Return the samples of a recording, shape (C, T)."""
    first, length = archive.offsets(signal)[row], archive.recordings[row].signals[signal].n_times
    return archive.samples(signal)[:, first : first + length].astype(np.float64)


def _running(archive: Archive, signal: str, windows: WindowIndex) -> Moments:
    """Return the moments of a session up to the end of each window, shapes (N, C)."""
    recordings, offsets = archive.recordings, archive.offsets(signal)
    sfreq = recordings[0].signals[signal].sfreq
    first = first_samples(archive, signal, windows) - offsets[windows.recording]
    ends = first + recorded_samples(windows, sfreq)
    n_channels = len(archive.samples(signal))
    mean, variance = np.zeros((len(windows), n_channels)), np.ones((len(windows), n_channels))
    of_session = sittings(archive)
    for number in np.unique(of_session[windows.recording]):
        rows = np.flatnonzero(of_session == number)
        level, count = None, 0
        sums, squares = np.zeros(n_channels), np.zeros(n_channels)
        for row in sorted(rows.tolist(), key=lambda row: recordings[row].offset):
            samples = _piece(archive, signal, row)
            level = samples[:, :1] if level is None else level
            samples = samples - level
            inside = np.flatnonzero(windows.recording == row)
            cuts = np.unique([0, *ends[inside].tolist()])
            starts = cuts[cuts < samples.shape[1]]
            total, total_squares = (
                before[:, None] + np.cumsum(np.add.reduceat(values, starts, axis=1), axis=1)
                for before, values in ((sums, samples), (squares, samples**2))
            )
            place = np.searchsorted(cuts, ends[inside]) - 1  # the piece that ends with the window
            n = count + ends[inside]
            centre = total[:, place] / n
            mean[inside] = (centre + level).T
            variance[inside] = (total_squares[:, place] / n - centre**2).T
            sums, squares, count = total[:, -1], total_squares[:, -1], count + samples.shape[1]
    return mean, spread(variance, mean)
