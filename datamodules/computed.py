"""Features that networks compute of windows before they learn, kept for folds and models."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from datamodules.batch import Batch, Front
from datamodules.gathering import WindowDataset, placed
from datamodules.resident import RESIDENT

AT_ONCE = 64
"""Windows that are measured at a time; always the same number, as rounding depends on it."""


class ComputedDataset(torch.utils.data.Dataset[Batch]):
    """Batches of features that were computed of windows, on the device of the recordings.

    An item is a whole batch, as it is of WindowDataset.

    Args:
        windows: Windows that the features were computed of.
        computed: Features of all windows, by name, shape (N, ...).
    """

    def __init__(self, windows: WindowDataset, computed: Mapping[str, Tensor]) -> None:
        self.windows, self.computed = windows, computed

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, rows: Tensor) -> Batch:
        rows = placed(rows, self.windows.device)
        signals = {name: values.index_select(0, rows) for name, values in self.computed.items()}
        return self.windows.labelled(rows, signals)


def measured_once(windows: WindowDataset, front: Front, archive: str) -> dict[str, Tensor] | None:
    """Return what is measured of windows, by name, shape (N, ...); None if it is too much to keep.

    Runs of one process that ask for the same get the same.

    Args:
        windows: At least one window.
        front: First part of the network, which measures.
        archive: Key of the recordings.
    """
    key = _key(windows, front, archive)
    kept = RESIDENT.features
    if key not in kept and (measured := _measured(windows, front)):
        kept.put(key, measured)
    return kept.get(key)


def _key(windows: WindowDataset, front: Front, archive: str) -> str:
    """Return a digest of all that the outcome depends on."""
    digest = hashlib.sha256(
        repr((archive, front.key, windows.device, windows.n_times, windows.padding)).encode()
    )
    share = {} if windows.share is None else {"share": windows.share}
    for column in (windows.first, windows.recorded, windows.mean, windows.std, share):
        for name, values in column.items():
            digest.update(name.encode() + values.cpu().numpy().tobytes())
    return digest.hexdigest()


def _measured(windows: WindowDataset, front: Front) -> dict[str, Tensor] | None:
    measured: dict[str, Tensor] = {}
    for rows in torch.arange(len(windows)).split(AT_ONCE):
        batch = front.measure(windows[rows].signals)
        if not measured:
            size = len(windows) * sum(values[0].nbytes for values in batch.values())
            if size > RESIDENT.features.limit:
                return None
            measured = {n: v.new_empty((len(windows), *v.shape[1:])) for n, v in batch.items()}
        for name, values in batch.items():
            measured[name][rows] = values
    return measured
