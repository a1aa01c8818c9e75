"""What networks compute of windows before anything is learned, kept for epochs, folds, models."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor

from datamodules.batch import Batch, Front
from datamodules.windows import WindowDataset

LIMIT = 2**30
"""Bytes that are kept in a process; beyond them, what was used longest ago is dropped."""

AT_ONCE = 64
"""Windows that are measured at a time, whoever asks for them: rounding must not tell who did."""

_kept: OrderedDict[str, dict[str, Tensor]] = OrderedDict()


class ComputedDataset(torch.utils.data.Dataset[Batch]):
    """Batches of what was computed of windows, on the device of the recordings.

    An item is a whole batch, as it is of WindowDataset.

    Args:
        windows: What it was computed of.
        computed: Of all windows, by name, shape (N, ...).
    """

    def __init__(self, windows: WindowDataset, computed: Mapping[str, Tensor]) -> None:
        self.windows, self.computed = windows, computed

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, rows: Tensor) -> Batch:
        rows = rows.to(self.windows.device)
        signals = {name: values.index_select(0, rows) for name, values in self.computed.items()}
        return self.windows.labelled(rows, signals)


def measured_once(windows: WindowDataset, front: Front, archive: str) -> dict[str, Tensor] | None:
    """What is measured of windows, by name, shape (N, ...); None if it is too much to keep.

    Runs of one process that ask for the same get the same.

    Args:
        windows: At least one.
        front: Measures.
        archive: Key of the recordings.
    """
    key = _key(windows, front, archive)
    if key not in _kept:
        measured = _measured(windows, front)
        if measured is None:
            return None
        _kept[key] = measured
        while sum(map(_size, _kept.values())) > LIMIT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def _key(windows: WindowDataset, front: Front, archive: str) -> str:
    """Digest of all that the outcome depends on."""
    found = hashlib.sha256(
        repr((archive, front.key, windows.device, windows.n_times, windows.padding)).encode()
    )
    share = {} if windows.share is None else {"share": windows.share}
    for column in (windows.first, windows.recorded, windows.mean, windows.std, share):
        for name, values in column.items():
            found.update(name.encode() + values.cpu().numpy().tobytes())
    return found.hexdigest()


def _measured(windows: WindowDataset, front: Front) -> dict[str, Tensor] | None:
    measured: dict[str, Tensor] = {}
    for rows in torch.arange(len(windows)).split(AT_ONCE):
        found = front.measure(windows[rows].signals)
        if not measured:
            if len(windows) * sum(values[0].nbytes for values in found.values()) > LIMIT:
                return None
            measured = {n: v.new_empty((len(windows), *v.shape[1:])) for n, v in found.items()}
        for name, values in found.items():
            measured[name][rows] = values
    return measured


def _size(measured: Mapping[str, Tensor]) -> int:
    return sum(values.nbytes for values in measured.values())
