from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules.archive import Archive
from datamodules.recorded import Mapped
from datamodules.resident import GRIDS, RESIDENT, Resident, Shelf
from datamodules.scaling import segment_moments
from datamodules.tasks import ConditionTask, RatingTask
from datamodules.windows import Cutting, window_grids

TASK = ConditionTask("stress", ("rest", "stress"), {"rest": 0, "stress": 1}, source="test")
CUTTING = Cutting(5.0, 2.5, 10.0)
OTHER_DEVICE = torch.device("meta")
"""A device without memory of its own; the code asks nothing of a device but where it is."""


# ---- shelf


def test_what_was_used_longest_ago_is_dropped() -> None:
    shelf: Shelf[str] = Shelf(2)
    made = []

    def make(key: str) -> str:
        made.append(key)
        return key.upper()

    for key in ("a", "b", "a", "c"):
        assert shelf.kept(key, lambda key=key: make(key)) == key.upper()
    assert made == ["a", "b", "c"]
    assert [key in shelf for key in "abc"] == [True, False, True]
    assert shelf.get("a") == "A"  # now "c" is the one that was used longest ago
    shelf.put("d", "D")
    assert [shelf.get(key) for key in "abcd"] == ["A", None, None, "D"]
    assert len(shelf) == 2
    shelf.clear()
    assert len(shelf) == 0
    assert shelf.get("a") is None


def test_a_value_that_is_put_again_replaces_the_first() -> None:
    shelf: Shelf[int] = Shelf(10, size=lambda value: value)
    shelf.put("a", 4)
    shelf.put("a", 7)
    assert shelf.get("a") == 7
    assert len(shelf) == 1


def test_one_value_is_kept_however_large() -> None:
    shelf: Shelf[int] = Shelf(10, size=lambda value: value)
    shelf.put("small", 3)
    shelf.put("large", 11)
    assert shelf.get("large") == 11
    assert "small" not in shelf


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 6)), max_size=30))
def test_sizes_never_exceed_the_limit(puts: list[tuple[str, int]]) -> None:
    shelf: Shelf[int] = Shelf(10, size=lambda value: value)
    kept: dict[str, int] = {}
    for key, size in puts:
        shelf.put(key, size)
        kept.pop(key, None)
        kept[key] = size
        while sum(kept.values()) > 10:
            del kept[next(iter(kept))]
        assert {key: shelf.get(key) for key in kept} == kept
        assert len(shelf) == len(kept)


# ---- what a process keeps


def test_a_process_has_one() -> None:
    assert isinstance(RESIDENT, Resident)


def test_the_same_recordings_are_the_same_object(archive: Archive, trials: Archive) -> None:
    resident = Resident()
    first = resident.archive(archive.subjects)
    again = resident.archive(tuple(replace(s) for s in archive.subjects))
    assert again is first
    fewer = resident.archive(archive.subjects[:2])
    assert [subject.subject for subject in fewer.subjects] == ["S1", "S2"]
    assert resident.archive(trials.subjects) is not first
    # One at a time: the first has to be opened anew.
    assert resident.archive(archive.subjects) is not first


def test_grids_are_shared_by_equal_tasks_and_cuttings(archive: Archive) -> None:
    resident = Resident()
    made = resident.grids(archive, TASK, CUTTING)
    for grid, plain in zip(made, window_grids(archive, TASK, CUTTING), strict=True):
        np.testing.assert_array_equal(grid.start, plain.start)
        np.testing.assert_array_equal(grid.target, plain.target)
    assert resident.grids(archive, TASK, replace(CUTTING)) is made
    assert resident.grids(archive, TASK, replace(CUTTING, stride=5.0)) is not made
    other = replace(TASK, conditions={"rest": 1, "stress": 0})
    assert (resident.grids(archive, other, CUTTING)[0].target == 1 - made[0].target).all()
    ratings = [RatingTask("valence", 5.0, "test"), RatingTask("valence", 5.0, "test")]
    assert resident.grids(archive, ratings[0], CUTTING) is resident.grids(
        archive, ratings[1], CUTTING
    )


def test_grids_of_another_archive_are_dropped(archive: Archive, trials: Archive) -> None:
    resident = Resident()
    opened = resident.archive(archive.subjects)
    made, moments = resident.grids(opened, TASK, CUTTING), resident.moments(opened, "fast")
    assert resident.archive(archive.subjects) is opened
    assert resident.grids(opened, TASK, CUTTING) is made
    assert resident.moments(opened, "fast") is moments
    resident.archive(trials.subjects)
    assert resident.grids(opened, TASK, CUTTING) is not made
    assert resident.moments(opened, "fast") is not moments


def test_many_grids_do_not_pile_up(archive: Archive) -> None:
    resident = Resident()
    cuttings = [replace(CUTTING, stride=1.0 + number) for number in range(GRIDS + 1)]
    first = resident.grids(archive, TASK, cuttings[0])
    for cutting in cuttings[1:-1]:
        resident.grids(archive, TASK, cutting)
    assert resident.grids(archive, TASK, cuttings[0]) is first
    second = resident.grids(archive, TASK, cuttings[1])
    resident.grids(archive, TASK, cuttings[-1])
    assert resident.grids(archive, TASK, cuttings[1]) is second
    assert resident.grids(archive, TASK, cuttings[0]) is first


def test_moments_are_those_of_the_signal(archive: Archive) -> None:
    resident = Resident()
    for signal in ("fast", "slow"):
        for kept, plain in zip(
            resident.moments(archive, signal), segment_moments(archive, signal), strict=True
        ):
            np.testing.assert_array_equal(kept, plain)
        assert resident.moments(archive, signal) is resident.moments(archive, signal)


# ---- recordings on a device


def test_without_a_device_samples_stay_where_they_are(archive: Archive) -> None:
    recorded = Resident().array(archive, "fast", None)
    assert isinstance(recorded, Mapped)
    assert recorded.pieces is archive.samples("fast")
    assert recorded.nbytes == sum(piece.nbytes for piece in archive.samples("fast"))


def test_on_a_device_samples_stay_for_later_runs(archive: Archive, trials: Archive) -> None:
    resident = Resident()
    signals = ("fast", "slow")
    size = {name: sum(p.nbytes for p in archive.samples(name)) for name in signals}
    assert resident.missing_bytes(archive, signals, OTHER_DEVICE) == sum(size.values())
    fast = resident.array(archive, "fast", OTHER_DEVICE)
    assert fast.device == OTHER_DEVICE
    assert fast.nbytes == size["fast"]
    assert resident.missing_bytes(archive, signals, OTHER_DEVICE) == size["slow"]
    assert resident.array(archive, "fast", OTHER_DEVICE) is fast
    resident.array(archive, "slow", OTHER_DEVICE)
    assert resident.missing_bytes(archive, signals, OTHER_DEVICE) == 0
    # One archive at a time.
    resident.array(trials, "fast", OTHER_DEVICE)
    assert resident.missing_bytes(archive, signals, OTHER_DEVICE) == sum(size.values())


def test_it_can_be_cleared(archive: Archive) -> None:
    resident = Resident()
    opened = resident.archive(archive.subjects)
    made, moments = resident.grids(opened, TASK, CUTTING), resident.moments(opened, "fast")
    resident.array(opened, "fast", OTHER_DEVICE)
    resident.features.put("key", {"mean": torch.zeros(3)})
    resident.clear()
    assert len(resident.features) == 0
    assert resident.missing_bytes(opened, ("fast",), OTHER_DEVICE) > 0
    assert resident.grids(opened, TASK, CUTTING) is not made
    assert resident.moments(opened, "fast") is not moments
    assert resident.archive(archive.subjects) is not opened


def test_shelves_of_others_are_cleared_too() -> None:
    resident = Resident()
    shelf: Shelf[str] = Shelf(3)
    assert resident.keep(shelf) is shelf
    shelf.put("key", "value")
    resident.clear()
    assert len(shelf) == 0


def test_features_are_kept_by_their_bytes() -> None:
    resident = Resident()
    resident.features.limit = 100
    resident.features.put("one", {"a": torch.zeros(10), "b": torch.zeros(5)})
    resident.features.put("other", {"a": torch.zeros(10)})
    assert len(resident.features) == 2
    resident.features.put("third", {"a": torch.zeros(1)})
    assert "one" not in resident.features
    assert len(resident.features) == 2
