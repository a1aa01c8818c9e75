"""Feature rows of any signal, one row a second: the input of DNN, LSTM, CNN and CNN-LSTM."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from datamodules.batch import EEG_BANDS, LENGTH, Front, Inputs, SignalSpec, kind_of
from lightning_modules.feature_rows.features import Part, Scale, make_parts
from lightning_modules.feature_rows.frames import ROW_RATE, n_rows

EXTREME = 10.0
"""Standard deviations at which a computed feature is cut off."""
COMPUTED = "rows of "
"""Start of the name under which the rows of a signal stand in the place of the signal."""


def valid_rows(share: Tensor, rows: int) -> Tensor:
    """Return which rows are recorded and no padding, at least the first, bool of shape (B, R).

    Args:
        share: Share of each window that is recorded, shape (B, 1, 1).
        rows: Number of rows, R.
    """
    count = (share[:, 0] * rows).round().clamp_min(1)  # (B, 1)
    return torch.arange(rows, device=share.device) < count


def normalize(norm: nn.Module, maps: Tensor, valid: Tensor | None) -> Tensor:
    """Normalise a batch by the moments of valid rows alone; the other rows become zero.

    Args:
        norm: Batch normalisation of the second axis.
        maps: Feature maps, shape (B, D, R) or (B, D, S, R).
        valid: Mask of the rows that count, shape (B, R); None for all.
    """
    if valid is None:
        normal: Tensor = norm(maps)
        return normal
    rows = maps.movedim(-1, 1)  # (B, R, D, ...)
    kept = norm(rows[valid].unsqueeze(-1)).squeeze(-1)  # (N, D, ...)
    return torch.zeros_like(rows).index_put((valid,), kept).movedim(1, -1)


def last_row(states: Tensor, valid: Tensor | None) -> Tensor:
    """Return the last valid row, shape (B, D), of states of shape (B, R, D)."""
    if valid is None:
        return states[:, -1]
    return states[torch.arange(len(states), device=states.device), valid.sum(dim=1) - 1]


class ComputedRows(nn.Module):
    """Features of one signal, channel-major, standardised by running statistics.

    The statistics are averages over all training batches, and no parameters. Padded rows become
    zero and do not count.

    Args:
        name: Name of the signal.
        spec: The signal.
    """

    def __init__(self, name: str, spec: SignalSpec) -> None:
        super().__init__()
        parts = make_parts(name, spec)
        self.parts = nn.ModuleList(parts)
        self.n_features = spec.n_channels * sum(part.n_features for part in parts)
        self.norm = nn.BatchNorm1d(self.n_features, affine=False, momentum=None)

    def measure(self, window: Tensor) -> Tensor:
        """Return features before they are scaled, shape (B, C, F / C, R), of windows (B, C, T)."""
        return torch.cat([part.measure(window) for part in self._parts()], dim=2)

    def scaled(self, measured: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        """Return features (B, F, R) of (window - shift) / scale, from what was measured."""
        parts = self._parts()
        pieces = measured.split([part.n_features for part in parts], dim=2)
        each = [part.scaled(p, shift, scale) for part, p in zip(parts, pieces, strict=True)]
        return torch.cat(each, dim=2).flatten(1, 2)

    def _parts(self) -> list[Part]:
        return cast(list[Part], list(self.parts))

    def forward(self, features: Tensor, share: Tensor | None) -> Tensor:
        """Standardise features.

        Args:
            features: Shape (B, F, R).
            share: Share of each window that is recorded, shape (B, 1, 1); None for all of it.
        """
        valid = None if share is None else valid_rows(share, features.shape[2])
        return normalize(self.norm, features, valid).clamp(-EXTREME, EXTREME)


class GivenRows(nn.Module):
    """Feature rows that the dataset provides, unchanged."""

    def measure(self, window: Tensor) -> Tensor:
        """Shape (B, F, R), in and out."""
        return window

    def scaled(self, measured: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        """Return rows (window - shift) / scale, shape (B, F, R)."""
        return (measured - shift) / scale

    def forward(self, features: Tensor, share: Tensor | None) -> Tensor:
        """Shape (B, F, R), in and out."""
        return features


class FeatureRows(nn.Module):
    """Feature rows of signals, one a second.

    EEG gives the differential entropy of five bands for each channel. The other signals give mean,
    standard deviation and slope, and more by kind: breathing its rate, the rate's share of power
    and the power around it in a centred frame of 20 s; skin conductance the summed rise; ECG,
    muscle, eye and other fast signals the entropy of the bands too. Heart beats give mean, standard
    deviation and slope in a centred frame of 8 s. A feature for which the rate or the window is too
    small is left out. Computed features are standardised by running statistics of the training
    batches and cut off at ten standard deviations. A signal of at most 1 Hz is feature rows already
    and passes unchanged.

    Where trials are padded with a mask, padded rows are zero and not in the running statistics; the
    share of valid rows is the share of the window that is recorded, rounded. Padding still touches
    a row that is recorded in part, and heart and breath of the last valid rows, whose frame of 8 or
    20 s reaches beyond them.

    Args:
        inputs: Any signals, at any rates; with or without the mask, ``LENGTH``, which is no
            feature. Rows of a signal with fewer rows than another are repeated.

    Attributes:
        n_features: Number of features, F.
        n_rows: Number of rows, R.
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
            if kind_of(name) == "de" and self.n_features % len(EEG_BANDS) == 0:
                groups = len(EEG_BANDS)
            elif kind_of(name) == "eeg" and spec.sfreq > ROW_RATE:
                groups = self.n_features // spec.n_channels
        self.layout = (groups, self.n_features // groups)

    @property
    def front(self) -> Front | None:
        """``measure`` and ``scaled``; None if all signals are feature rows already."""
        if not any(isinstance(rows, ComputedRows) for rows in self.signals.values()):
            return None
        return Front(("FeatureRows", *self.inputs.items()), self.measure, self.scaled)

    @torch.no_grad()
    def measure(self, signals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return measurements of windows, by signal; they depend on nothing that is learned."""
        measured = {name: rows.measure(signals[name]) for name, rows in self._extractors()}
        return {**measured, LENGTH: signals[LENGTH]} if self.masked else measured

    @torch.no_grad()
    def scaled(
        self,
        measured: Mapping[str, Tensor],
        shift: Mapping[str, Tensor] | None = None,
        scale: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Return features of (window - shift) / scale, from measurements of the windows.

        Args:
            measured: Measurements by signal, from ``measure``.
            shift: Shift by signal, shape (C, 1); 0 for a signal without one.
            scale: Scale by signal, shape (C, 1); 1 for a signal without one.

        Returns:
            Rows (B, F, R) before they are standardised, which ``forward`` takes in the place of
            signals.
        """
        shift, scale = shift or {}, scale or {}
        features = {
            COMPUTED + name: rows.scaled(measured[name], shift.get(name, 0.0), scale.get(name, 1.0))
            for name, rows in self._extractors()
        }
        return {**features, LENGTH: measured[LENGTH]} if self.masked else features

    def _extractors(self) -> list[tuple[str, ComputedRows | GivenRows]]:
        return cast(list[tuple[str, ComputedRows | GivenRows]], list(self.signals.items()))

    @torch.no_grad()
    def forward(self, signals: Mapping[str, Tensor]) -> Tensor:
        """Return rows, shape (B, F, R), of signals (B, C, T) or of the output of ``scaled``."""
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
        """Return which rows are valid, bool of shape (B, R); None without a mask, as all are."""
        return valid_rows(signals[LENGTH], self.n_rows) if self.masked else None

    def maps(self, rows: Tensor) -> Tensor:
        """Return rows (B, F, R) as maps (B, G, S, R) for convolutions over sites and rows.

        EEG features are channel-major: their bands are the maps and their electrodes the sites.
        Features of other signals have no neighbours: each is a map, with one site.
        """
        groups, sites = self.layout
        maps: Tensor = rows.unflatten(1, (sites, groups)).transpose(1, 2)
        return maps
