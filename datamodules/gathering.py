"""Batches gathered from memory-mapped recordings, and the rows that each of them holds."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from datamodules.batch import LENGTH, Batch, Chunk
from datamodules.protocol import Padding
from datamodules.recorded import Recorded
from datamodules.scaling import Scaling
from datamodules.windows import WindowIndex


class WindowDataset(torch.utils.data.Dataset[Batch]):
    """Batches of windows.

    An item is a whole batch: index it with an int64 tensor of rows. Nothing is copied until then,
    so overlapping windows cost no memory. A ``DataLoader`` with a ``batch_size`` of its own,
    shuffled or not, makes a Batch of them as well.

    Args:
        arrays: Samples by signal, all on one device.
        windows: The rows.
        first: By signal, first sample of each window, counted through all recordings, shape (N,).
        n_times: By signal, samples in a window.
        scaling: None leaves the samples as recorded.
        padding: Value, after scaling, where nothing is recorded: ``"zero"``; ``"mean"``: the
            mean of the recorded part of each channel; ``"edge"``: its last sample. None: every
            window is recorded whole.
        recorded: By signal, recorded samples of each window, shape (N,); read where padding is.
        mask: Whether batches say how much is recorded, as the signal ``LENGTH``.
    """

    def __init__(
        self,
        arrays: Mapping[str, Recorded],
        windows: WindowIndex,
        first: Mapping[str, npt.NDArray[np.int64]],
        n_times: Mapping[str, int],
        scaling: Scaling | None,
        padding: Padding | None = None,
        recorded: Mapping[str, npt.NDArray[np.int64]] | None = None,
        mask: bool = False,
    ) -> None:
        device = next(iter(arrays.values())).device
        self.arrays, self.n_times, self.padding = dict(arrays), dict(n_times), padding
        self.recording = torch.from_numpy(windows.recording).to(device)
        self.first = {s: torch.from_numpy(rows).to(device) for s, rows in first.items()}
        self.recorded = {s: torch.from_numpy(n).to(device) for s, n in (recorded or {}).items()}
        self.target = torch.from_numpy(windows.target).to(device)
        self.subject = torch.from_numpy(windows.subject).to(device)
        self.trial = torch.from_numpy(windows.trial).to(device)
        share = torch.from_numpy(windows.seconds / windows.length).float()
        self.share = share.to(device)[:, None, None] if mask else None
        self.mean = {s: scaling.mean[s].to(device) for s in arrays} if scaling else {}
        self.std = {s: scaling.std[s].to(device) for s in arrays} if scaling else {}
        self.device = device

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, rows: Tensor) -> Batch:
        rows = placed(rows, self.device)
        signals = {}
        for name in self.arrays:
            window = self._gathered(name, rows)
            if name in self.mean:
                mean, std = (self._of_rows(m[name], rows) for m in (self.mean, self.std))
                window.sub_(mean).div_(std)
            signals[name] = self._filled(name, rows, window)
        if self.share is not None:
            signals[LENGTH] = self.share[rows]
        return self.labelled(rows, signals)

    def __getitems__(self, rows: Sequence[int]) -> list[Batch]:
        """Return windows one by one, without the axis B, as torch asks for those of a batch."""
        positions = torch.as_tensor(rows).to(self.device)
        signals, target, subject, trial, _ = self[positions]
        labels = zip(target, subject, trial, positions, strict=True)
        return [
            Batch({name: windows[place] for name, windows in signals.items()}, *of_one)
            for place, of_one in enumerate(labels)
        ]

    def labelled(self, rows: Tensor, signals: dict[str, Tensor]) -> Batch:
        """Return a batch of signals of these rows, on the device of the recordings."""
        return Batch(signals, self.target[rows], self.subject[rows], self.trial[rows], rows)

    def _of_rows(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return values (C, 1) of all windows, or (B, C, 1) of some where each has its own."""
        return values if values.ndim == 2 else values.index_select(0, rows)

    def _gathered(self, name: str, rows: Tensor) -> Tensor:
        """Return samples of windows, (B, C, T); after the last recorded one it is repeated."""
        recorded = None if self.padding is None else self.recorded[name][rows]
        first, n_times = self.first[name][rows], self.n_times[name]
        return self.arrays[name].windows(self.recording[rows], first, n_times, recorded)

    def _filled(self, name: str, rows: Tensor, window: Tensor) -> Tensor:
        if self.padding in (None, "edge"):
            return window
        recorded = self.recorded[name][rows, None, None]
        padded = torch.arange(self.n_times[name], device=self.device) >= recorded  # (B, 1, T)
        window.masked_fill_(padded, 0.0)
        if self.padding == "mean":
            window += padded * (window.sum(dim=2, keepdim=True) / recorded)
        return window


def placed(rows: Tensor, device: torch.device) -> Tensor:
    """Return the rows of a batch on a device.

    Raises:
        TypeError: A single number, as from a sampler that has replaced that of a datamodule.
    """
    if not isinstance(rows, Tensor):
        raise TypeError(
            f"expected the rows of a batch as an int64 tensor, found {rows!r}. If a Trainer of "
            "several devices has put its own sampler there, as it does for overfit_batches, give "
            "it use_distributed_sampler=False"
        )
    return rows.to(device)


class BatchRows(torch.utils.data.Sampler[Tensor]):
    """Rows of each batch of an epoch, as int64 tensors.

    Args:
        n_windows: N.
        batch_size: Windows in a batch.
        generator: Shuffles anew each epoch; None keeps the order, last batch included. A shuffled
            last batch of a single window is left out, since batch statistics need two.
        share: Number of this process, from 0, and number of processes that share each batch:
            process ``rank`` takes rows ``rank``, ``rank + size``, ``rank + 2 * size``, ... A batch
            without two rows for each of them goes to all of them whole.
    """

    def __init__(
        self,
        n_windows: int,
        batch_size: int,
        generator: torch.Generator | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.n_windows, self.batch_size, self.generator = n_windows, batch_size, generator
        self.share = share

    def __len__(self) -> int:
        full, rest = divmod(self.n_windows, self.batch_size)
        return full + (rest > 1 if self.generator else rest > 0)

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - Sampler's own is untyped
        if self.generator:
            order = torch.randperm(self.n_windows, generator=self.generator)
        else:
            order = torch.arange(self.n_windows)
        rank, size = self.share
        for rows in order.split(self.batch_size)[: len(self)]:
            yield rows[rank::size] if len(rows) >= 2 * size else rows


class FixedRows(torch.utils.data.SequentialSampler):
    """The same items in every epoch, as a sampler has drawn them once.

    A Trainer with ``overfit_batches`` replaces samplers that are no SequentialSampler.

    Args:
        sampler: Sampler that is iterated once.
    """

    def __init__(self, sampler: Iterable[object]) -> None:
        self.items = list(sampler)
        super().__init__(self.items)

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - Sampler's own is untyped
        return iter(self.items)


class SharedRows(DistributedSampler[Any]):
    """Items of a sampler that gives each of several processes its share already.

    A Trainer of several devices deals out the items of any sampler that is no DistributedSampler,
    and would so leave out most of the windows.

    Args:
        sampler: Sampler of one process.
        share: Number of this process, from 0, and number of processes.
    """

    def __init__(self, sampler: "BatchRows | ChunkRows", share: tuple[int, int]) -> None:
        rank, size = share
        super().__init__(sampler, num_replicas=size, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.sampler)


class ChunkDataset(torch.utils.data.Dataset[Chunk]):
    """Batches of windows, several at a time; an item is a Chunk.

    Args:
        gather: Makes a batch of rows.
        n_windows: N.
    """

    def __init__(self, gather: Callable[[Tensor], Batch], n_windows: int) -> None:
        self.gather, self.n_windows = gather, n_windows

    def __len__(self) -> int:
        return self.n_windows

    def __getitem__(self, rows: Sequence[Tensor]) -> Chunk:
        return Chunk(self.gather, rows)


class ChunkRows(torch.utils.data.Sampler[Sequence[Tensor]]):
    """Rows of each chunk of an epoch: those of its batches.

    Args:
        batches: Rows of each batch.
        size: Batches in a chunk; the last may have fewer.
    """

    def __init__(self, batches: BatchRows, size: int) -> None:
        self.batches, self.size = batches, size

    def __len__(self) -> int:
        return -(-len(self.batches) // self.size)

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - Sampler's own is untyped
        rows = list(self.batches)
        for first in range(0, len(rows), self.size):
            yield rows[first : first + self.size]
