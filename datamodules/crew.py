"""Crew: processes that read subjects side by side; each costs no more than its subject if it dies.

Each is started anew, and imports no more than its reader needs.
"""

import multiprocessing
import pickle
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from datamodules.errors import AffectbenchError, DatasetCorruptedError, MachineError

GRACE = 10.0
"""Seconds that a process has to clean up after itself when it must end."""


@dataclass
class _Process:
    """A process that reads.

    Attributes:
        process: The process.
        ready: Whether it can read.
        subject: Subject that it reads now; empty: none.
    """

    process: SpawnProcess
    ready: bool = False
    subject: str = ""


class Crew:
    """Processes that read subjects side by side.

    Args:
        store: Function that reads a subject into the cache.
        start: Function that each process calls first.
        read: Function that is called after each subject.
    """

    def __init__(
        self,
        store: Callable[[str], object],
        start: Callable[[], object],
        read: Callable[[str], object],
    ) -> None:
        self._store, self._start, self._read = store, start, read
        self._staff: dict[Connection, _Process] = {}
        self._errors: dict[str, AffectbenchError] = {}

    def read(self, subjects: Sequence[str], most: int) -> dict[str, AffectbenchError]:
        """Read subjects into the cache, in this order.

        One whose process dies is read once more, by a process that has the machine to itself. Where
        no process can start, as the reader is defined where only this one sees it, nobody is read.

        Args:
            subjects: Subjects.
            most: Number of processes.

        Returns:
            Error of each subject who cannot be read.

        Raises:
            MachineError: The machine cannot read or write, or a process was killed twice.
        """
        try:
            arguments = self._start, pickle.dumps(self._store)
        except (pickle.PicklingError, AttributeError, TypeError):
            return {}
        for subject in self._side_by_side(subjects, most, arguments):
            for again, exitcode in self._side_by_side([subject], 1, arguments).items():
                self._errors[again] = _death(again, exitcode)
                self._read(again)
        return self._errors

    def _side_by_side(
        self,
        subjects: Sequence[str],
        most: int,
        arguments: tuple[Callable[[], object], bytes],
    ) -> dict[str, int | None]:
        """Return the exit status of the process that died, by subject that it read."""
        waiting, died = deque(subjects), dict[str, int | None]()
        try:
            for _ in range(min(most, len(subjects))):
                self._hire(arguments)
            while self._staff:
                for connection in wait(list(self._staff)):
                    assert isinstance(connection, Connection)
                    member = self._staff[connection]
                    if not self._answered(connection, member):
                        self._dismiss(connection)
                        if member.ready:
                            died[member.subject] = member.process.exitcode
                            if waiting:
                                self._hire(arguments)
                    elif waiting:
                        member.subject = waiting.popleft()
                        with suppress(OSError):  # it has died, which shows when it is waited for
                            connection.send(member.subject)
                    else:
                        self._dismiss(connection)
        finally:
            for member in self._staff.values():
                member.process.terminate()
            for connection in list(self._staff):
                self._dismiss(connection)
        return died

    def _answered(self, connection: Connection, member: _Process) -> bool:
        """Receive that a process is ready, or how its subject ended; False if it has died."""
        try:
            error: Exception | None = connection.recv()
        except (EOFError, OSError):
            return False
        if not member.ready:
            member.ready = True
        else:
            if isinstance(error, AffectbenchError) and not isinstance(error, MachineError):
                self._errors[member.subject] = error
            elif error is not None:
                raise error
            self._read(member.subject)
        return True

    def _hire(self, arguments: tuple[Callable[[], object], bytes]) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, *arguments), daemon=True)
        process.start()
        theirs.close()
        self._staff[ours] = _Process(process)

    def _dismiss(self, connection: Connection) -> None:
        """Let a process end, and kill it if it does not."""
        process = self._staff.pop(connection).process
        connection.close()
        process.join(GRACE)
        process.kill()
        process.join()


def _work(connection: Connection, start: Callable[[], object], store: bytes) -> None:
    """Receive subjects, read them and send an error or None for each, until nobody is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # temporary folders go on the way out
    start()
    read: Callable[[str], object] = pickle.loads(store)  # of this project's own process
    with suppress(EOFError, OSError):  # the one that asks is gone, or has no more to ask
        connection.send(None)
        while True:
            connection.send(_error_of(read, connection.recv()))


def _error_of(read: Callable[[str], object], subject: str) -> Exception | None:
    """Read a subject, and return what went wrong in a form that can be sent."""
    try:
        read(subject)
    except Exception as error:  # whatever it is, the one that asks raises it
        if not isinstance(error, AffectbenchError):
            error.add_note(f"{subject}, in a process of its own:\n{traceback.format_exc()}")
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # an error of a plug-in, whose arguments are not those of its message
            return RuntimeError(f"{subject}: {traceback.format_exc()}")
        return error
    return None


def _death(subject: str, exitcode: int | None) -> AffectbenchError:
    """Return the error of a subject whose process died twice; raise that of the machine."""
    cause = f"signal {-exitcode}" if exitcode and exitcode < 0 else f"exit status {exitcode}"
    if exitcode == -signal.SIGKILL:
        raise MachineError(
            f"{subject}: expected to read it, found that the process that did was killed "
            f"({cause}); the machine may be out of memory. No recording is at fault, so that "
            "nobody is left out: make room, and call again"
        )
    return DatasetCorruptedError(
        f"{subject}: expected to read it, found that the process that did has died ({cause}), "
        "twice. Look at its files"
    )
