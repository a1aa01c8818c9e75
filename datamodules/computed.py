"""What networks compute of windows before anything is learned, kept for epochs and runs."""

import hashlib
from collections import OrderedDict

import torch
from torch import Tensor

from datamodules.batch import Batch, Front
from datamodules.windows import WindowDataset

LIMIT = 2**30
"""Bytes that are kept in a process; beyond them, what was used longest ago is dropped."""

_kept: OrderedDict[str, dict[str, Tensor]] = OrderedDict()


class ComputedDataset(torch.utils.data.Dataset[Batch]):
    """Batches of what was computed of windows, on the device of the recordings.

    An item is a whole batch, as it is of WindowDataset.

    Args:
        windows: What it was computed of.
        computed: Of all windows, by name, shape (N, ...).
    """

    def __init__(self, windows: WindowDataset, computed: dict[str, Tensor]) -> None:
        self.windows, self.computed = windows, computed

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, rows: Tensor) -> Batch:
        rows = rows.to(self.windows.device)
        signals = {name: values.index_select(0, rows) for name, values in self.computed.items()}
        return self.windows.labelled(rows, signals)


def compute_once(
    windows: WindowDataset, front: Front, archive: str, batch_size: int
) -> WindowDataset | ComputedDataset:
    """Batches of what is computed of windows; of the windows themselves if it is too much to keep.

    Runs of one process that ask for the same get the same: other models on the same fold.

    Args:
        windows: At least one.
        front: Computes.
        archive: Key of the recordings.
        batch_size: Windows that are computed at a time.
    """
    key = _key(windows, front, archive)
    if key not in _kept:
        computed = _computed(windows, front, batch_size)
        if computed is None:
            return windows
        _kept[key] = computed
        while sum(map(_size, _kept.values())) > LIMIT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return ComputedDataset(windows, _kept[key])


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


def _computed(windows: WindowDataset, front: Front, batch_size: int) -> dict[str, Tensor] | None:
    """Of all windows, by name, shape (N, ...); None if it is too much to keep."""
    computed: dict[str, Tensor] = {}
    for rows in torch.arange(len(windows)).split(batch_size):
        found = front.compute(windows[rows].signals)
        if not computed:
            if len(windows) * sum(values[0].nbytes for values in found.values()) > LIMIT:
                return None
            computed = {n: v.new_empty((len(windows), *v.shape[1:])) for n, v in found.items()}
        for name, values in found.items():
            computed[name][rows] = values
    return computed


def _size(computed: dict[str, Tensor]) -> int:
    return sum(values.nbytes for values in computed.values())
