"""Console: news of a campaign, on stdout and stderr."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

from benchmark.boards.board import Board
from benchmark.campaign import Reporter
from benchmark.cli.boards import print_board
from benchmark.cli.doing import say_doing
from benchmark.engines.event import Finished
from benchmark.engines.live import Progress, Shown


class ConsoleReporter(Reporter):
    """Prints news; while runs are done, a live view on a terminal, otherwise a line for each."""

    def __init__(self) -> None:
        self._shown: Shown | None = None

    def say(self, line: str) -> None:
        print(line)

    def warn(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def doing(self, line: str) -> None:
        say_doing(line)

    def board(self, board: Board) -> None:
        print_board(board)

    def finished(self, event: Finished) -> None:
        if self._shown:
            self._shown.finished(event)

    @contextmanager
    def following(self, progress: Progress, slots: Sequence[str]) -> Iterator[Connection | None]:
        self._shown = Shown(progress, slots)
        with self._shown.shown() as output:
            yield output
