"""Live view of a call: boards, current runs, time left and failures; or plain lines."""

import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmark.engines.devices import Memory, memory
from benchmark.engines.event import Finished
from benchmark.plan.order import Costs, Kind, kind
from benchmark.run import Run

REFRESH = 2
"""Number of times a second that the view is drawn."""
LOOK = 5.0
"""Seconds between two measurements of the memory of GPUs."""
FAILURES = 5
"""Number of the latest failures that are shown."""
OTHER_LINES = 14
"""Number of lines of the view that are neither boards nor workers."""


@dataclass
class _Slot:
    device: str
    run: Run
    since: float


class Progress:
    """State of a call while it goes on.

    Args:
        runs: All runs that the call asks for.
        todo: Those among them that are to be done now.
        statuses: ``"done"``, ``"failed"`` or None before the call, by id.
        costs: Durations of past runs; the engine adds those of this call.
        workers: Number of workers.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        todo: Sequence[Run],
        statuses: Mapping[str, str | None],
        costs: Costs,
        workers: int,
    ) -> None:
        self.costs, self.workers = costs, workers
        self.most_workers = 1
        self.waiting = {run.id for run in todo}
        self.kinds: dict[Kind, tuple[Run, set[str]]] = {}
        for run in todo:
            self.kinds.setdefault(kind(run), (run, set()))[1].add(run.id)
        self.n_todo = len(todo)
        self.boards = {run.board: Counter[str]() for run in runs}
        for run in runs:
            before = "open" if run.id in self.waiting else statuses[run.id]
            self.boards[run.board][before or "open"] += 1
        self.slots: dict[int, _Slot] = {}
        self.failures: deque[str] = deque(maxlen=FAILURES)
        self.started = time.time()
        self.begun = 0.0
        self.busy = self.seconds = 0.0
        self.count = self.n_failed = 0
        self.lock = threading.RLock()
        """Held while something changes or is drawn: the view has a thread of its own."""

    def staffed(self, workers: int) -> None:
        """Record that so many workers begin on runs."""
        with self.lock:
            self.workers = workers
            self.most_workers = max(self.most_workers, workers)

    def watch(self, number: int, device: str, run: Run | None) -> None:
        """Record the run that a worker does from now on; None: it has none."""
        with self.lock:
            if run:
                self.slots[number] = _Slot(device, run, time.monotonic())
            else:
                self.slots.pop(number, None)

    def finished(self, event: Finished) -> None:
        """Record that a run has ended."""
        with self.lock:
            self.begun = self.begun or time.time() - event.busy
            self.count += 1
            self.busy += event.busy
            self.seconds += event.seconds
            self.waiting.discard(event.run.id)
            self.kinds[kind(event.run)][1].discard(event.run.id)
            board = self.boards[event.run.board]
            board["open"] -= 1
            board[event.status] += 1
            if event.status == "failed":
                self.n_failed += 1
                self.failures.append(f"{event.run.id}  {_short(event.run)}: {event.error}")

    def seconds_left(self) -> float | None:
        """Estimate the time left from finished runs of each kind; None while there are none.

        A kind without a finished run counts as the mean of the others. The time that a worker
        spends on a run beyond preparing, training and predicting is that of the runs of this call.
        """
        if not self.waiting:
            return 0.0
        open_runs = [(self.costs.seconds(run), len(ids)) for run, ids in self.kinds.values()]
        n_measured = sum(count for cost, count in open_runs if cost is not None)
        total = sum(cost * count for cost, count in open_runs if cost is not None)
        if not n_measured:
            if not self.count:
                return None
            n_measured, total = 1, self.seconds / self.count
        total *= len(self.waiting) / n_measured
        more = self.busy / self.seconds if self.seconds and self.busy else 1.0
        now = time.monotonic()
        spent = sum(now - slot.since for slot in self.slots.values() if slot.run.id in self.waiting)
        workers = min(self.workers, len(self.waiting))
        return max(0.0, total * more - spent) / workers

    def per_minute(self) -> float:
        """Return the number of runs of this call that end in a minute."""
        passed = time.time() - self.begun
        return 60 * self.count / passed if self.begun and passed else 0.0

    def line(self, event: Finished) -> str:
        """Return one line about a run that has ended."""
        outcome = f"macro F1 {event.score:.3f}" if event.score is not None else event.error
        left = self.seconds_left()
        return (
            f"[{self.count}/{self.n_todo}] {event.run.label}: {event.status}, {outcome}, "
            f"{event.seconds:.1f} s; {duration(left)} left"
        )

    def view(self, height: int, devices: Mapping[str, Memory] | None = None) -> RenderableType:
        """Return the view, cut to the lines of the terminal.

        Args:
            height: Number of lines.
            devices: Memory by device.
        """
        with self.lock:
            return self._view(height, devices or {})

    def _view(self, height: int, devices: Mapping[str, Memory]) -> RenderableType:
        slots = sorted(self.slots.items())
        room = max(2, height - OTHER_LINES)
        n_slots = min(len(slots), max(1, room // 2))
        parts: list[RenderableType] = [self._boards(max(1, room - n_slots)), Text("")]
        if slots:
            parts += [self._workers(slots[:n_slots], len(slots) - n_slots), Text("")]
        if self.failures:
            parts.append(Text("failed last; affectbench logs ID says more", style="dim"))
            parts += [Text(line, no_wrap=True, overflow="ellipsis") for line in self.failures]
            parts.append(Text(""))
        parts.append(self._summary(devices))
        return Group(*parts)

    def _boards(self, room: int) -> Table:
        table = _table("board", "done", "running", "failed", "open", "")
        running = Counter(slot.run.board for slot in self.slots.values())
        # Those that go on first, then those to come, then those that are finished.
        names = sorted(self.boards, key=lambda name: (not running[name], not self._open(name)))
        for name in names[:room]:
            counts = self.boards[name]
            table.add_row(
                name,
                str(counts["done"]),
                str(running[name]),
                Text(str(counts["failed"]), style="red" if counts["failed"] else ""),
                str(max(0, counts["open"] - running[name])),
                ProgressBar(
                    counts.total(), counts.total() - counts["open"], width=20, complete_style="cyan"
                ),
            )
        if hidden := names[room:]:
            counts = sum((self.boards[name] for name in hidden), Counter())
            n_running = sum(running[name] for name in hidden)
            shown = (counts["done"], n_running, counts["failed"], counts["open"] - n_running)
            table.add_row(f"{len(hidden)} more", *map(str, shown), "")
        return table

    def _open(self, board: str) -> bool:
        return self.boards[board]["open"] > 0

    def _workers(self, slots: Sequence[tuple[int, _Slot]], more: int) -> Table:
        table = _table("worker", "device", "run", "board", "for", "usually")
        now = time.monotonic()
        for number, slot in slots:
            table.add_row(
                str(number + 1),
                slot.device,
                _short(slot.run),
                slot.run.board,
                duration(now - slot.since),
                duration(self.costs.seconds(slot.run)),
            )
        if more:
            table.add_row("", "", f"{more} more", "", "", "")
        return table

    def _summary(self, devices: Mapping[str, Memory]) -> Text:
        parts = [
            f"{self.count} of {self.n_todo} runs",
            f"{self.n_failed} failed",
            f"{self.per_minute():.1f} runs a minute",
            f"{duration(self.seconds_left())} left",
            *(
                f"GPU {name}: {gpu.used / 2**30:.1f} of {gpu.total / 2**30:.0f} GiB"
                for name, gpu in devices.items()
            ),
        ]
        return Text(", ".join(parts), style="bold")


def _table(name: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in (name, *columns):
        number = column in ("done", "running", "failed", "open", "for", "usually")
        narrow = {"min_width": len(column)} if number else {"overflow": "ellipsis"}
        table.add_column(column, justify="right" if number else "left", no_wrap=True, **narrow)
    return table


def _short(run: Run) -> str:
    return f"{run.name} fold {run.fold} seed {run.seed}"


def duration(seconds: float | None) -> str:
    """Return a duration as a person would say it; None is unknown."""
    if seconds is None:
        return "unknown"
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


class Shown:
    """Progress of a call on a console: a live view on a terminal, otherwise one line for each run.

    Args:
        progress: State of the call.
        devices: Devices of the workers, as CUDA_VISIBLE_DEVICES names them.
        console: Console to write on; None: stdout.
    """

    def __init__(
        self, progress: Progress, devices: Sequence[str], console: Console | None = None
    ) -> None:
        self.progress = progress
        self.console = console or Console()
        self.names = sorted({name for device in devices for name in device.split(",")} - {"cpu"})
        self.memory: dict[str, Memory] = {}
        self.live = self.console.is_terminal and not self.console.is_dumb_terminal

    def __rich__(self) -> RenderableType:
        return self.progress.view(self.console.height, self.memory)

    def finished(self, event: Finished) -> None:
        """Print a line about a run that has ended, unless the view shows it."""
        if not self.live:
            print(self.progress.line(event), flush=True)

    @contextmanager
    def shown(self) -> Iterator[Connection | None]:
        """Show the progress while the block goes on.

        Yields:
            Pipe for the output of workers, which is printed above the view; None: there is no view.
        """
        if not self.live:
            yield None
            return
        reading, writing = Pipe(duplex=False)
        over = threading.Event()
        threads = [
            threading.Thread(target=self._repeat, args=(reading,), daemon=True),
            threading.Thread(target=self._look, args=(over,), daemon=True),
        ]
        view = Live(
            self,
            console=self.console,
            refresh_per_second=REFRESH,
            redirect_stderr=sys.stderr.isatty(),
        )
        try:
            with view:
                for thread in threads:
                    thread.start()
                try:
                    yield writing
                finally:
                    writing.close()  # workers are gone: the other thread comes to the end
                    over.set()
                    for thread in threads:
                        thread.join(LOOK)
        finally:
            reading.close()

    def _repeat(self, reading: Connection) -> None:
        """Print the output of workers above the view."""
        with os.fdopen(os.dup(reading.fileno()), errors="replace") as lines:
            for line in lines:
                self.console.print(Text(line.rstrip("\n")), soft_wrap=True)

    def _look(self, over: threading.Event) -> None:
        """Measure the memory of GPUs from time to time."""
        while self.names and not over.wait(LOOK if self.memory else 0.0):
            self.memory = memory(self.names)
            if not self.memory:
                return
