"""Doubts about rows of an Empatica E4's files: doubled, missing, or of another clock.

A file has one time, its start, and a rate: a row too many or too few shifts all that follows, and
no value looks wrong. What tells is that the files of a session start together and end together,
and that a stretch of samples hardly ever repeats itself exactly.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

HEART_RATE = "hr"
"""HR.csv, which the device computes of the pulse: it counts its seconds once more."""
ENDS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("bvp", HEART_RATE): (-2.5, 1.25),
    ("bvp", "acc"): (-2.5, 1.75),
}
"""Seconds by which the second file may end before (negative) or after the first. In the 135
published sessions of Stress-Predict and Wearable Stress, but for one that repeats itself, heart
rates end 2.2 s before to 1.0 s after the pulse, and accelerations 2.1 s before to 1.2 s after it.
Skin conductance and temperature end up to 7.5 s apart from these, so that their ends tell little.
"""
RUN = 16
"""Samples in a row that are compared at first, and the shortest stretch that is found."""
LONGEST = 60.0
"""Seconds of the longest stretch that is found; ``datamodules.repeats`` finds longer ones."""
DISTINCT = 8
"""Smallest number of different values in a stretch: where a signal rests, equality says nothing."""
PAIRS = 50
"""Number of samples in a row that each come twice which is no chance."""


def doubts_of_clocks(
    starts: Mapping[str, float], stops: Mapping[str, float], rates: Mapping[str, float]
) -> Iterator[str]:
    """Yield what is doubtful about the times of a session's files.

    Args:
        starts: UTC seconds of the start, by signal; also ``HEART_RATE``, if there is such a file.
        stops: UTC seconds of the end, likewise.
        rates: Samples a second, by signal.
    """
    latest = max(starts[name] for name in rates)
    for name in rates:
        if latest - starts[name] > 1 / rates[name]:
            yield (
                f"{name}: starts {latest - starts[name]:g} s before the last file; the files are "
                "aligned by their own times, so that this clock should be looked at"
            )
    for (first, second), (least, most) in ENDS.items():
        if first in stops and second in stops:
            later = stops[second] - stops[first]
            if not least <= later <= most:
                yield (
                    f"{first} and {second}: {second} ends {abs(later):.1f} s "
                    f"{'after' if later > 0 else 'before'} {first}, expected at most "
                    f"{most if later > 0 else -least:g} s: rows may be missing or doubled, which "
                    "shifts what follows"
                )


def doubt_of_rows(samples: npt.NDArray[np.float32], sfreq: float) -> str | None:
    """Return what is doubtful about the rows of a file; None: nothing.

    Args:
        samples: Samples, shape (C, T).
        sfreq: Samples a second.
    """
    found = doubled_rows(samples, round(LONGEST * sfreq))
    if found is None:
        return None
    start, length = found
    return (
        f"{length} rows from line {start + 3} on are doubled, which shifts what follows by "
        f"{length / sfreq:.1f} s"
    )


def doubled_rows(samples: npt.NDArray[np.float32], longest: int) -> tuple[int, int] | None:
    """Return where rows come twice in a row, and how many; None: nowhere.

    Found are stretches of ``RUN`` to ``longest`` rows that are followed by themselves, and rows
    that each follow themselves, ``PAIRS`` and more of them.

    Args:
        samples: Samples, shape (C, T).
        longest: Largest length of a stretch.
    """
    n_times = samples.shape[1]
    if n_times < 2 * RUN:
        return None
    rows = np.ascontiguousarray(samples.T).view(np.uint32).astype(np.uint64)
    odd = np.uint64(0x9E3779B97F4A7C15)
    values = rows[:, 0]
    for column in rows.T[1:]:
        values = (values * odd) ^ column
    # Each of many pairs: equal to the next one, then not, in turn.
    equal = values[1:] == values[:-1]
    turns = np.flatnonzero(np.r_[True, equal[1:] == equal[:-1], True])
    long = np.flatnonzero(np.diff(turns) >= 2 * PAIRS)
    if len(long):
        return int(turns[long[0]]), int(np.diff(turns)[long[0]]) // 2
    hashes = values.copy()
    for reach in (1, 2, 4, 8):  # of RUN samples in a row
        hashes = hashes[:-reach] * odd + hashes[reach:]
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    first, lag = order[same], order[same + 1] - order[same]
    near = (lag >= RUN) & (lag <= longest) & (first + 2 * lag <= n_times)
    for start, length in sorted(zip(first[near].tolist(), lag[near].tolist(), strict=True)):
        stretch = values[start : start + length]
        if np.array_equal(stretch, values[start + length : start + 2 * length]) and (
            len(np.unique(stretch)) >= DISTINCT
        ):
            return start, length
    return None
