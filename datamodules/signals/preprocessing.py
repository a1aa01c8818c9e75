"""Preprocessing: the steps of each signal, and the signals that are derived from others."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from datamodules.signals.beats import Beats
from datamodules.signals.cvxeda import PhasicEDA, TonicEDA
from datamodules.signals.recording import Signal
from datamodules.signals.steps import Step


@dataclass(frozen=True)
class Derived:
    """A signal that is computed from another one of the same recording.

    Args:
        source: Name of the other signal, which has been through its own steps.
        steps: Steps from the other signal to this one.
    """

    source: str
    steps: tuple[Step, ...]

    @property
    def causal(self) -> bool:
        """Whether all of its own steps are causal; the other signal's steps count besides."""
        return all(step.causal for step in self.steps)


Preprocessing = Mapping[str, Sequence[Step] | Derived]
"""By signal: the steps that change it, or how it is derived; a signal without an entry stays as it
was read."""

EDA_PARTS: Preprocessing = {
    "eda_tonic": Derived("eda", (TonicEDA(),)),
    "eda_phasic": Derived("eda", (PhasicEDA(),)),
}
"""Skin conductance by cvxEDA, for every dataset that has ``eda``. A dataset that also changes
other signals adds them: ``{"ecg": (BandPass(0.5, 45.0),), **EDA_PARTS}``."""
BVP_BEATS: Preprocessing = {"bvp_beats": Derived("bvp", (Beats("bvp"),))}
"""Heart beats of a pulse wave, for every dataset that has ``bvp``."""
ECG_BEATS: Preprocessing = {"ecg_beats": Derived("ecg", (Beats("ecg"),))}
"""Heart beats of an ECG, for every dataset that has ``ecg``."""


def preprocess(
    signals: Mapping[str, Signal],
    preprocessing: Preprocessing,
    names: Collection[str] | None = None,
) -> dict[str, Signal]:
    """Return signals of a recording after their steps, derived ones last.

    A recording may lack a signal; then it also lacks what is derived from it.

    Args:
        signals: Signals as they were recorded.
        preprocessing: Steps by signal.
        names: Names of the signals that are returned; no step is taken for others. None: all.
    """
    needed = None if names is None else sources(names, preprocessing)
    prepared = {n: signal for n, signal in signals.items() if needed is None or n in needed}
    for name, source, steps in _in_order(preprocessing):
        if source in prepared and (needed is None or name in needed):
            signal = prepared[source]
            for step in steps:
                signal = step(signal)
            prepared[name] = signal
    return {n: signal for n, signal in prepared.items() if names is None or n in names}


def sources(names: Iterable[str], preprocessing: Preprocessing) -> set[str]:
    """Return the names of some signals, and of those that they are derived from."""
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        needed.add(name := waiting.pop())
        entry = preprocessing.get(name)
        if isinstance(entry, Derived):
            waiting.append(entry.source)
    return needed


def durations(signals: Mapping[str, Signal], preprocessing: Preprocessing) -> dict[str, float]:
    """Return the seconds of every signal of a recording after its steps, derived ones last.

    No step is taken for it.

    Args:
        signals: Signals as they were recorded.
        preprocessing: Steps by signal.
    """
    lengths = {name: (s.samples.shape[1], s.sfreq) for name, s in signals.items()}
    for name, source, steps in _in_order(preprocessing):
        if source in lengths:
            n_times, sfreq = lengths[source]
            for step in steps:
                n_times, (_, sfreq) = step.n_times(n_times, sfreq), step.shape(1, sfreq)
            lengths[name] = n_times, sfreq
    return {name: n_times / sfreq for name, (n_times, sfreq) in lengths.items()}


def derived_shapes(
    recorded: Mapping[str, tuple[int, float]], preprocessing: Preprocessing
) -> dict[str, tuple[int, float]]:
    """Return the shape of every signal of a dataset after its steps, derived ones last.

    Args:
        recorded: Number of channels and rate in Hz of every signal that the reader may give.
        preprocessing: Steps by signal.

    Returns:
        Number of channels and rate in Hz by signal, in the order of ``recorded``, then of
        ``preprocessing``.

    Raises:
        KeyError: A step for a signal that is not recorded.
    """
    shapes = dict(recorded)
    for name, source, steps in _in_order(preprocessing):
        n_channels, sfreq = shapes[source]
        for step in steps:
            n_channels, sfreq = step.shape(n_channels, sfreq)
        shapes[name] = n_channels, sfreq
    return shapes


def is_causal(signal: str, preprocessing: Preprocessing) -> bool:
    """Return whether a window of a signal depends on nothing that was recorded after its end.

    That is as far as steps go: what a publisher did to the files, or a reader to gaps in them, does
    not count.

    Args:
        signal: Name of the signal.
        preprocessing: Steps by signal.
    """
    entry = preprocessing.get(signal, ())
    if isinstance(entry, Derived):
        return entry.causal and is_causal(entry.source, preprocessing)
    return all(step.causal for step in entry)


def steps_of(entry: Sequence[Step] | Derived) -> Sequence[Step]:
    """Return the steps of one entry of a preprocessing."""
    return entry.steps if isinstance(entry, Derived) else entry


def _in_order(preprocessing: Preprocessing) -> Iterator[tuple[str, str, Sequence[Step]]]:
    """Yield name, source and steps of each entry; recorded signals come before derived ones."""
    for name, entry in sorted(preprocessing.items(), key=lambda item: isinstance(item[1], Derived)):
        yield name, entry.source if isinstance(entry, Derived) else name, steps_of(entry)
