"""Feature rows: what DNN, LSTM, CNN and CNN-LSTM see of any signal, one row a second."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from datamodules.batch import (
    BREATHING_RATES,
    EEG_BANDS,
    HEART_RATES,
    LENGTH,
    Front,
    Inputs,
    SignalSpec,
    kind_of,
)

ROW_RATE = 1.0
"""Hz; a signal sampled no faster than this is feature rows already."""
HEART_FRAME = 8.0
"""Seconds of the pulse in which its rate is looked for."""
BREATHING_FRAME = 20.0
"""Seconds of breathing in which its rate is looked for."""
RHYTHM_RATE = 32.0
"""Hz, or up to twice as much, to which a fast signal is averaged to look for a rhythm."""
BEAT_WIDTH = 0.3
"""Seconds over which the energy of an ECG is smoothed, so that a beat is one hump."""
RISE_RATE = 4.0
"""Hz, or up to twice as much, to which skin conductance is averaged before rises are added up."""
MOMENTS_ONLY = 8.0
"""Hz; of a slower signal no band powers are taken."""
FLOOR = 1e-12
"""Smallest variance in a band that is told from zero, where signals have unit variance or so."""
TINY = 1e-30
"""The same before a signal is scaled."""
EXTREME = 10.0
"""Standard deviations at which a computed feature is cut off."""
COMPUTED = "rows of "
"""What the name of a signal begins with where its rows stand in its place."""


ENTROPY = 0.5 * math.log(2 * math.pi * math.e)
"""Differential entropy of a normal variable of variance one."""

Scale = Tensor | float


def n_rows(spec: SignalSpec) -> int:
    """R, rows of a window: one for each whole second, or sample of a slow signal; at least one."""
    if spec.sfreq <= ROW_RATE:
        return spec.n_times
    return max(1, int(spec.n_times / spec.sfreq + 1e-6))


def valid_rows(share: Tensor, rows: int) -> Tensor:
    """Which rows are recorded and not padding, at least the first, bool of shape (B, R).

    Args:
        share: How much of each window is recorded, shape (B, 1, 1).
        rows: R.
    """
    count = (share[:, 0] * rows).round().clamp_min(1)  # (B, 1)
    return torch.arange(rows, device=share.device) < count


def normalize(norm: nn.Module, maps: Tensor, valid: Tensor | None) -> Tensor:
    """Batch normalisation by the moments of valid rows alone; the others become zero.

    Args:
        norm: Of the second axis.
        maps: Shape (B, D, R) or (B, D, S, R).
        valid: Which rows count, shape (B, R); None: all.
    """
    if valid is None:
        normal: Tensor = norm(maps)
        return normal
    rows = maps.movedim(-1, 1)  # (B, R, D, ...)
    kept = norm(rows[valid].unsqueeze(-1)).squeeze(-1)  # (N, D, ...)
    return torch.zeros_like(rows).index_put((valid,), kept).movedim(1, -1)


def last_row(states: Tensor, valid: Tensor | None) -> Tensor:
    """The last valid one of states (B, R, D), shape (B, D)."""
    if valid is None:
        return states[:, -1]
    return states[torch.arange(len(states), device=states.device), valid.sum(dim=1) - 1]


class Frames(nn.Module):
    """Cuts a window into one frame a row, centred on the row's second as far as the window allows.

    Frames near an end are moved inwards, and one longer than the window is the window, so that no
    sample is made up.

    Args:
        n_times: T.
        sfreq: Rate in Hz.
        seconds: Length of a frame.
        rows: R.

    Attributes:
        length: L, samples in a frame.
    """

    index: Tensor

    def __init__(self, n_times: int, sfreq: float, seconds: float, rows: int) -> None:
        super().__init__()
        self.length = min(n_times, max(1, round(seconds * sfreq)))
        starts = (torch.arange(rows, dtype=torch.float64) + 0.5) * sfreq - self.length / 2
        starts = starts.round().long().clamp(0, n_times - self.length)
        index = starts[:, None] + torch.arange(self.length)
        self.register_buffer("index", index, persistent=False)

    def forward(self, window: Tensor) -> Tensor:
        """Shape (B, C, T) to (B, C, R, L)."""
        return window[:, :, self.index]


class Part(nn.Module, ABC):
    """Some features of each channel and row: (B, C, T) to (B, C, ``n_features``, R).

    They are measured, then scaled, so that one measurement of a recording does for every scaling.
    """

    n_features: int

    @abstractmethod
    def measure(self, window: Tensor) -> Tensor:
        """What ``scaled`` asks for, shape (B, C, T) to (B, C, ``n_features``, R)."""

    @abstractmethod
    def scaled(self, found: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        """Features of (window - shift) / scale, from what was measured of the window.

        Args:
            found: Shape (B, C, ``n_features``, R).
            shift: A number, or shape (C, 1).
            scale: The same.
        """

    def forward(self, window: Tensor) -> Tensor:
        return self.scaled(self.measure(window))


def entropy_of(variance: Tensor) -> Tensor:
    """Differential entropy of a normal variable, before it is scaled."""
    return ENTROPY + 0.5 * variance.clamp_min(TINY).log()


def scaled_entropy(entropy: Tensor, scale: Scale) -> Tensor:
    """Entropy of a variable that is divided by a scale, as that of ``FLOOR`` at least."""
    return (entropy - _log(scale)).clamp_min(ENTROPY + 0.5 * math.log(FLOOR))


def _log(scale: Scale) -> Scale:
    return scale.log() if isinstance(scale, Tensor) else math.log(scale)


class Moments(Part):
    """Mean, standard deviation and slope a second.

    Args:
        spec: The signal.
    """

    n_features = 3
    time: Tensor

    def __init__(self, spec: SignalSpec) -> None:
        super().__init__()
        self.frames = Frames(spec.n_times, spec.sfreq, 1.0, n_rows(spec))
        time = torch.arange(self.frames.length, dtype=torch.float64) / spec.sfreq
        time = time - time.mean()
        time = time / time.square().sum().clamp_min(FLOOR)
        self.register_buffer("time", time.float(), persistent=False)

    def measure(self, window: Tensor) -> Tensor:
        frames = self.frames(window)  # (B, C, R, L)
        mean = frames.mean(dim=3)
        centred = frames - mean[..., None]
        return torch.stack([mean, centred.square().mean(dim=3).sqrt(), centred @ self.time], dim=2)

    def scaled(self, found: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        mean, deviation, slope = found.unbind(dim=2)
        return torch.stack([(mean - shift) / scale, deviation / scale, slope / scale], dim=2)


class DifferentialEntropy(Part):
    """Differential entropy of a normal variable, 0.5 log(2 pi e variance), of bands a second.

    The variance is the power of the frame, without its mean and weighted by a periodic Hann window,
    at the frequencies of the band. Bands above half the rate are left out.

    Args:
        spec: The signal.

    Attributes:
        n_features: Bands.
    """

    taper: Tensor
    bands: Tensor

    def __init__(self, spec: SignalSpec) -> None:
        super().__init__()
        self.frames = Frames(spec.n_times, spec.sfreq, 1.0, n_rows(spec))
        length = self.frames.length
        taper = torch.hann_window(length, dtype=torch.float64)
        frequency = torch.arange(length // 2 + 1, dtype=torch.float64) * spec.sfreq / length
        inside = torch.stack(
            [(frequency >= low) & (frequency < high) for low, high in EEG_BANDS.values()], 1
        )
        inside = inside[:, inside.any(dim=0)]  # (F, bands)
        sides = torch.where(frequency * 2 < spec.sfreq * (1 - 1e-9), 2.0, 1.0)
        bands = inside * sides[:, None] / (length * taper.square().sum())
        self.n_features = bands.shape[1]
        self.register_buffer("taper", taper.float(), persistent=False)
        self.register_buffer("bands", bands.float(), persistent=False)

    def measure(self, window: Tensor) -> Tensor:
        frames = self.frames(window)  # (B, C, R, L)
        frames = (frames - frames.mean(dim=3, keepdim=True)) * self.taper
        power = torch.view_as_real(torch.fft.rfft(frames)).square().sum(dim=-1)  # (B, C, R, F)
        return entropy_of(power @ self.bands).transpose(2, 3)  # (B, C, bands, R)

    def scaled(self, found: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        channels = scale[..., None] if isinstance(scale, Tensor) else scale  # (C, 1, 1)
        return scaled_entropy(found, channels)


class Rhythm(Part):
    """Rate of the strongest line in a band, its share of the band, and the entropy of the band.

    The rate in Hz is the peak of the spectrum of a centred frame of several seconds, which is
    weighted by a periodic Hann window after its mean is taken away. Lines are an eighth of the
    frame's resolution apart; only those of the band are computed.

    Args:
        spec: The signal.
        band: Slowest and fastest rate looked for, in Hz.
        seconds: Length of a frame.
        beats: Look at the size of the change, smoothed: an ECG has little power at the rate itself.
    """

    n_features = 3
    waves: Tensor
    frequency: Tensor

    def __init__(
        self, spec: SignalSpec, band: tuple[float, float], seconds: float, beats: bool = False
    ) -> None:
        super().__init__()
        self.beats = beats
        self.step = max(1, int(spec.sfreq // RHYTHM_RATE))
        sfreq = spec.sfreq / self.step
        width = round(BEAT_WIDTH / 2 * sfreq) // 2 * 2 + 1
        self.hump = nn.AvgPool1d(width, 1, width // 2, count_include_pad=False)
        self.frames = Frames(spec.n_times // self.step, sfreq, seconds, n_rows(spec))
        length = self.frames.length
        apart = sfreq / (8 * length)
        first, last = math.ceil(band[0] / apart - 1e-6), math.floor(band[1] / apart + 1e-6)
        frequency = torch.arange(first, last + 1, dtype=torch.float64) * apart
        time = torch.arange(length, dtype=torch.float64) / sfreq
        taper = torch.hann_window(length, dtype=torch.float64)
        scale = math.sqrt(2 / (8 * length * float(taper.square().sum())))  # to power: variance
        phase = 2 * math.pi * time[:, None] * frequency
        waves = scale * taper[:, None] * torch.cat([phase.cos(), phase.sin()], dim=1)
        self.width = 2 * sfreq / length  # Hz, half the main lobe
        self.register_buffer("waves", waves.float(), persistent=False)
        self.register_buffer("frequency", frequency.float(), persistent=False)

    @staticmethod
    def possible(spec: SignalSpec, band: tuple[float, float]) -> bool:
        """Whether the rate allows the band, and the window two periods of its slowest."""
        return 0.45 * spec.sfreq >= band[1] and spec.n_times * band[0] >= 2 * spec.sfreq

    def measure(self, window: Tensor) -> Tensor:
        if self.beats:
            window = window.diff(dim=2, prepend=window[:, :, :1]).square()
        window = nn.functional.avg_pool1d(window, self.step)  # (B, C, T / step)
        if self.beats:
            window = self.hump(self.hump(window.sqrt()))
        frames = self.frames(window)  # (B, C, R, L)
        frames = frames - frames.mean(dim=3, keepdim=True)
        real, imaginary = (frames @ self.waves).chunk(2, dim=3)
        power = real.square() + imaginary.square()  # (B, C, R, F)
        rate = self.frequency[power.argmax(dim=3)]  # (B, C, R)
        near = (self.frequency - rate[..., None]).abs() <= self.width
        total = power.sum(dim=3)
        share = (power * near).sum(dim=3) / total.clamp_min(TINY)
        return torch.stack([rate, share, entropy_of(total)], dim=2)

    def scaled(self, found: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        rate, share, entropy = found.unbind(dim=2)
        least = ENTROPY + 0.5 * math.log(FLOOR)
        below = entropy - _log(scale) - least  # of a band that is told from zero it is above zero
        share = share * (2 * below.clamp_max(0.0)).exp()
        return torch.stack([rate, share, scaled_entropy(entropy, scale)], dim=2)


class Rise(Part):
    """Summed rise a second: what skin conductance responses add.

    Args:
        spec: The signal.
    """

    n_features = 1

    def __init__(self, spec: SignalSpec) -> None:
        super().__init__()
        self.step = min(spec.n_times, max(1, int(spec.sfreq // RISE_RATE)))
        sfreq = spec.sfreq / self.step
        self.frames = Frames(spec.n_times // self.step, sfreq, 1.0, n_rows(spec))

    def measure(self, window: Tensor) -> Tensor:
        level = nn.functional.avg_pool1d(window, self.step)
        rise = level.diff(dim=2, prepend=level[:, :, :1]).relu()
        frames: Tensor = self.frames(rise)  # (B, C, R, L)
        return frames.sum(dim=3).unsqueeze(2)

    def scaled(self, found: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        return found / (scale[..., None] if isinstance(scale, Tensor) else scale)


def make_parts(name: str, spec: SignalSpec) -> list[Part]:
    """What is computed of a signal; the last word of its name says its kind."""
    kind = kind_of(name)
    entropy = DifferentialEntropy(spec)
    if kind == "eeg" and entropy.n_features:
        return [entropy]
    parts: list[Part] = [Moments(spec)]
    if kind in ("bvp", "ecg") and Rhythm.possible(spec, HEART_RATES):
        parts.append(Rhythm(spec, HEART_RATES, HEART_FRAME, beats=kind == "ecg"))
    if kind == "resp" and Rhythm.possible(spec, BREATHING_RATES):
        parts.append(Rhythm(spec, BREATHING_RATES, BREATHING_FRAME))
    if kind == "eda":
        parts.append(Rise(spec))
    slow = kind in ("eda", "temp", "resp", "bvp") or spec.sfreq < MOMENTS_ONLY
    if entropy.n_features and not slow:
        parts.append(entropy)
    return parts


class ComputedRows(nn.Module):
    """Features of one signal, channel-major, standardised by running statistics.

    The statistics are the average over all training batches, and no parameters. Padded rows become
    zero and do not count.

    Args:
        name: Of the signal.
        spec: The signal.
    """

    def __init__(self, name: str, spec: SignalSpec) -> None:
        super().__init__()
        parts = make_parts(name, spec)
        self.parts = nn.ModuleList(parts)
        self.n_features = spec.n_channels * sum(part.n_features for part in parts)
        self.norm = nn.BatchNorm1d(self.n_features, affine=False, momentum=None)

    def measure(self, window: Tensor) -> Tensor:
        """Features before they are scaled, shape (B, C, T) to (B, C, F / C, R)."""
        return torch.cat([part.measure(window) for part in self._parts()], dim=2)

    def scaled(self, found: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        """Features (B, F, R) of (window - shift) / scale, from what was measured of the window."""
        parts = self._parts()
        pieces = found.split([part.n_features for part in parts], dim=2)
        each = [part.scaled(p, shift, scale) for part, p in zip(parts, pieces, strict=True)]
        return torch.cat(each, dim=2).flatten(1, 2)

    def _parts(self) -> list[Part]:
        return cast(list[Part], list(self.parts))

    def forward(self, features: Tensor, share: Tensor | None) -> Tensor:
        """Standardised, shape (B, F, R) in and out; recorded to a share (B, 1, 1)."""
        valid = None if share is None else valid_rows(share, features.shape[2])
        return normalize(self.norm, features, valid).clamp(-EXTREME, EXTREME)


class GivenRows(nn.Module):
    """Feature rows that the dataset has, as they are."""

    def measure(self, window: Tensor) -> Tensor:
        """Shape (B, F, R), in and out."""
        return window

    def scaled(self, found: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        """Rows (window - shift) / scale, shape (B, F, R)."""
        return (found - shift) / scale

    def forward(self, features: Tensor, share: Tensor | None) -> Tensor:
        """Shape (B, F, R), in and out."""
        return features


class FeatureRows(nn.Module):
    """Signals to feature rows, one a second.

    Of EEG, the differential entropy of the five bands a channel; of the others mean, standard
    deviation and slope, and by kind: of a pulse or ECG the heart rate, its share of power and the
    power around it in a centred frame of 8 s; of breathing the same of the breath in 20 s; of skin
    conductance the summed rise; of ECG, muscle, eye and other fast signals the bands' entropy too.
    A feature for which the rate or the window is too small is left out. Computed features are
    standardised by running statistics of the training batches and cut off at ten standard
    deviations. A signal of at most 1 Hz is feature rows already and passes as it is.

    Where trials are padded and a mask is asked for, rows of padding are zero and not in the running
    statistics; the share of rows that is valid is that of the window that is recorded, rounded.
    Padding still touches a row that is recorded in part, and the rhythm of the last valid rows,
    whose frame of 8 or 20 s reaches beyond them.

    Args:
        inputs: Any signals, at any rates; with or without the mask, ``LENGTH``, which is no
            feature. Rows of a signal that has fewer of them are repeated.

    Attributes:
        n_features: F.
        n_rows: R.
        layout: Groups G and sites S of ``maps``.
    """

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.inputs = dict(inputs)
        self.masked = LENGTH in inputs
        inputs = {name: spec for name, spec in inputs.items() if name != LENGTH}
        self.n_rows = max(n_rows(spec) for spec in inputs.values())
        self.n_features = 0
        self.signals = nn.ModuleDict()
        for name, spec in inputs.items():
            if spec.sfreq <= ROW_RATE:
                self.signals[name] = GivenRows()
                self.n_features += spec.n_channels
            else:
                self.signals[name] = computed = ComputedRows(name, spec)
                self.n_features += computed.n_features
        groups = self.n_features
        if len(inputs) == 1:
            ((name, spec),) = inputs.items()
            if name == "eeg_de" and self.n_features % len(EEG_BANDS) == 0:
                groups = len(EEG_BANDS)
            elif name == "eeg" and spec.sfreq > ROW_RATE:
                groups = self.n_features // spec.n_channels
        self.layout = (groups, self.n_features // groups)

    @property
    def front(self) -> Front | None:
        """``measure`` and ``scaled``, unless all signals are feature rows already."""
        if not any(isinstance(rows, ComputedRows) for rows in self.signals.values()):
            return None
        return Front(("FeatureRows", *self.inputs.items()), self.measure, self.scaled)

    @torch.no_grad()
    def measure(self, signals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is computed of windows before they are scaled; depends on nothing that is learned.

        Returns:
            By signal, what ``scaled`` takes.
        """
        found = {name: rows.measure(signals[name]) for name, rows in self._extractors()}
        return {**found, LENGTH: signals[LENGTH]} if self.masked else found

    @torch.no_grad()
    def scaled(
        self,
        found: Mapping[str, Tensor],
        shift: Mapping[str, Tensor] | None = None,
        scale: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Features of (window - shift) / scale, from what was measured of the windows.

        Args:
            found: Of ``measure``.
            shift: By signal, shape (C, 1); none: 0.
            scale: The same; none: 1.

        Returns:
            What ``forward`` takes as well as signals: rows (B, F, R), before they are standardised.
        """
        shift, scale = shift or {}, scale or {}
        features = {
            COMPUTED + name: rows.scaled(found[name], shift.get(name, 0.0), scale.get(name, 1.0))
            for name, rows in self._extractors()
        }
        return {**features, LENGTH: found[LENGTH]} if self.masked else features

    def _extractors(self) -> list[tuple[str, ComputedRows | GivenRows]]:
        return cast(list[tuple[str, ComputedRows | GivenRows]], list(self.signals.items()))

    @torch.no_grad()
    def forward(self, signals: Mapping[str, Tensor]) -> Tensor:
        """Rows, shape (B, F, R), of signals (B, C, T) or of what ``scaled`` made of them."""
        if not any(name.startswith(COMPUTED) for name in signals):
            signals = self.scaled(self.measure(signals))
        share = signals[LENGTH] if self.masked else None
        rows = [extract(signals[COMPUTED + name], share) for name, extract in self._extractors()]
        rows = [
            part if part.shape[2] == self.n_rows else nn.functional.interpolate(part, self.n_rows)
            for part in rows
        ]
        joined: Tensor = torch.cat(rows, dim=1)  # (B, F, R)
        valid = self.valid(signals)
        return joined if valid is None else joined.masked_fill(~valid[:, None], 0.0)

    def valid(self, signals: Mapping[str, Tensor]) -> Tensor | None:
        """Which rows are valid, bool of shape (B, R); None: all, as there is no mask."""
        return valid_rows(signals[LENGTH], self.n_rows) if self.masked else None

    def maps(self, rows: Tensor) -> Tensor:
        """Rows (B, F, R) as maps (B, G, S, R) for convolutions over sites and rows.

        EEG features are channel-major: their bands are the maps and their electrodes the sites.
        Features of other signals have no neighbours: each is a map, with one site.
        """
        groups, sites = self.layout
        maps: Tensor = rows.unflatten(1, (sites, groups)).transpose(1, 2)
        return maps
