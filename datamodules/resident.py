"""Resident: everything about recordings that a process keeps between the runs that it does."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from datamodules.archive import Archive
from datamodules.recorded import Joined, Mapped, Recorded
from datamodules.scaling import Moments, segment_moments
from datamodules.stored import StoredSubject
from datamodules.tasks import Task
from datamodules.windows import Cutting, WindowIndex, window_grids

GRIDS, MOMENTS = 16, 64
"""Number of indices of windows, and of signals' moments, that are kept."""
FEATURE_BYTES = 2**30
"""Bytes of computed features that are kept; beyond them, what was used longest ago is dropped."""

T = TypeVar("T")


class Shelf(Generic[T]):
    """Values by key, of which those used longest ago are dropped when there are too many.

    Args:
        limit: Largest sum of the sizes of its values.
        size: Size of a value; 1 each unless given.
    """

    def __init__(self, limit: int, size: Callable[[T], int] = lambda _: 1) -> None:
        self.limit, self.size = limit, size
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """Return the value of a key; None if it is not there."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key, made now if it is not there."""
        if key not in self._values:
            self.put(key, make())
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Hashable, value: T) -> None:
        """Keep a value."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > 1 and sum(map(self.size, self._values.values())) > self.limit:
            self._values.popitem(last=False)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        """Drop everything."""
        self._values.clear()


class Resident:
    """One archive with all that was made of it, features of windows, and shelves of others."""

    def __init__(self) -> None:
        self._archives: Shelf[Archive] = Shelf(1)
        self._grids: Shelf[tuple[WindowIndex, WindowIndex]] = Shelf(GRIDS)
        self._moments: Shelf[Moments] = Shelf(MOMENTS)
        self._on_device: dict[tuple[str, str, torch.device], Joined] = {}
        self.features: Shelf[dict[str, Tensor]] = Shelf(FEATURE_BYTES, _nbytes)
        self._others: list[Shelf[Any]] = []

    def keep(self, shelf: Shelf[T]) -> Shelf[T]:
        """Take charge of a shelf of somebody else, and return it."""
        self._others.append(shelf)
        return shelf

    def archive(self, subjects: tuple[StoredSubject, ...]) -> Archive:
        """Return an archive: the same object as long as runs ask for the same recordings."""
        archive = Archive(subjects)
        if archive.place not in self._archives:
            self._grids.clear()
            self._moments.clear()
        return self._archives.kept(archive.place, lambda: archive)

    def grids(
        self, archive: Archive, task: Task, cutting: Cutting
    ) -> tuple[WindowIndex, WindowIndex]:
        """Return the windows of all subjects, shared by all folds; see ``window_grids``."""
        key = (archive, task, cutting)
        return self._grids.kept(key, lambda: window_grids(archive, task, cutting))

    def moments(self, archive: Archive, signal: str) -> Moments:
        """Return the moments of a signal in every segment, shared by all folds."""
        return self._moments.kept((archive, signal), lambda: segment_moments(archive, signal))

    def array(self, archive: Archive, signal: str, device: torch.device | None) -> Recorded:
        """Return the samples of a signal, memory-mapped (None) or on a device.

        Those on a device stay for later runs; only one archive at a time is kept there.
        """
        if device is None:
            return Mapped(archive.samples(signal), archive.offsets(signal))
        for kept in [kept for kept in self._on_device if kept[0] != archive.place]:
            del self._on_device[kept]
        key = (archive.place, signal, device)
        if key not in self._on_device:
            self._on_device[key] = Joined.of(archive.samples(signal), device)
        return self._on_device[key]

    def missing_bytes(
        self, archive: Archive, signals: tuple[str, ...], device: torch.device
    ) -> int:
        """Return the bytes that must be copied before a device holds these signals."""
        return sum(
            sum(piece.nbytes for piece in archive.samples(signal))
            for signal in signals
            if (archive.place, signal, device) not in self._on_device
        )

    def clear(self) -> None:
        """Drop everything."""
        shelves: list[Shelf[Any]] = [self._archives, self._grids, self._moments, self.features]
        for shelf in (*shelves, *self._others):
            shelf.clear()
        self._on_device.clear()


def _nbytes(tensors: dict[str, Tensor]) -> int:
    return sum(values.nbytes for values in tensors.values())


RESIDENT = Resident()
"""The one of this process."""
