"""Schedule: the order in which runs start, their expected cost, and the part of one call."""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmark.files import visible
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store

Kind = tuple[object, ...]
WINDOWING = ("window", "stride", "scaling")
"""Values of a recipe that decide how windows are cut and scaled."""


class Costs:
    """Costs of runs, from those of finished ones of the same model and dataset.

    Args:
        results: Results, of which the finished ones count.
    """

    def __init__(self, results: Iterable[Result] = ()) -> None:
        self._seconds: dict[Kind, list[float]] = defaultdict(list)
        for result in results:
            if result.status == "done":
                self.add(result.run, sum(result.seconds.values()))

    def add(self, run: Run, seconds: float) -> None:
        """Learn from a run that is done."""
        insort(self._seconds[kind(run)], seconds)

    def seconds(self, run: Run) -> float | None:
        """Return the median of its kind; None if none of its kind is finished."""
        times = self._seconds.get(kind(run))
        return (times[(len(times) - 1) // 2] + times[len(times) // 2]) / 2 if times else None


def kind(run: Run) -> Kind:
    """Return what runs of one cost have in common; candidates of a study count as one kind."""
    same = run.untuned
    return (run.dataset, run.options, run.name, same.recipe, same.arguments)


def windows(run: Run) -> Kind:
    """Return what runs with the same windows have in common."""
    protocol = run.protocol
    recordings = (run.dataset, run.options, run.data, run.subjects, run.task)
    dealing = (protocol.rule, protocol.split, protocol.folds, protocol.padding, protocol.mask)
    windowing = tuple(getattr(run.recipe, name, None) for name in WINDOWING)
    return (*recordings, *dealing, run.signals, *windowing, run.window)


def ordered(runs: Sequence[Run], costs: Costs) -> list[Run]:
    """Return runs in the order in which they should start.

    Those that share windows are next to each other, the group with the longest run first and the
    longest first in a group, where a teacher counts for as long as it and its longest student take.
    Runs of unknown cost come before all others: they are measured soon, and may be long.
    """
    duration = {run.id: _or_endless(costs.seconds(run)) for run in runs}
    length = dict(duration)
    for run in runs:
        for needed in run.needs:
            if needed.id in duration:
                both = duration[needed.id] + duration[run.id]
                length[needed.id] = max(length[needed.id], both)
    groups: dict[Kind, list[Run]] = defaultdict(list)
    for run in runs:
        groups[windows(run)].append(run)
    for group in groups.values():
        group.sort(key=lambda run: -length[run.id])
    return [
        run for group in sorted(groups.values(), key=lambda g: -length[g[0].id]) for run in group
    ]


def _or_endless(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds


def shard(
    runs: Sequence[Run], number: int, count: int, together: Iterable[Sequence[Run]] = ()
) -> list[Run]:
    """Return one of several parts of the runs; no run waits for one of another part.

    A student is in the part of its teachers, and so is whoever shares one of them; all members of
    an ensemble are in one part. Which part that is depends on the ids alone.

    Args:
        runs: All of them, also those that are done.
        number: Number of the part, from 1.
        count: Number of parts.
        together: Runs that must be in one part, as what waits for all of them is done there.
    """
    leader = {run.id: run.id for run in runs}

    def leader_of(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for group in (*((run, *run.teachers) for run in runs), *together):
        for run in group[1:]:
            first, second = sorted((leader_of(group[0].id), leader_of(run.id)))
            leader[second] = first
    return [run for run in runs if int(leader_of(run.id), 16) % count == number - 1]


@dataclass(frozen=True)
class Estimate:
    """Expected time and size of runs.

    Args:
        hours: Hours on all workers, of the runs of known cost.
        size: Bytes on the disk, of the same runs.
        unknown: Number of runs of unknown cost, by model and dataset.
    """

    hours: float
    size: float
    unknown: Mapping[str, int]


def estimate(runs: Sequence[Run], store: Store, workers: int) -> Estimate:
    """Return what runs will take, from finished ones of the same model and dataset."""
    costs, sizes = Costs(), defaultdict(list)
    for folder, result in store.entries():
        if result.status == "done":
            costs.add(result.run, sum(result.seconds.values()))
            sizes[kind(result.run)].append(_size(folder))
    priced = [(run, seconds) for run in runs if (seconds := costs.seconds(run)) is not None]
    unknown: dict[str, int] = defaultdict(int)
    for run in runs:
        if costs.seconds(run) is None:
            unknown[f"{run.name} on {run.dataset}"] += 1
    hours = sum(seconds for _, seconds in priced) / 3600 / workers
    return Estimate(hours, sum(median(sizes[kind(run)]) for run, _ in priced), unknown)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in visible(folder))
