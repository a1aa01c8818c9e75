"""A disk that fails: one call of the file system raises an error, for tests."""

import builtins
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CALLS = ("stat", "listdir", "scandir", "mkdir", "rename", "replace", "chmod", "open")
"""Functions of ``os`` that fail. What removes files does not: that is how one cleans up."""


class FailingDisk:
    """Counts the calls that concern a folder; one of them fails.

    Args:
        folder: Only calls with a path in it count.
        number: Number of the call that fails, from 0; None: none does.
        error: Number of the error.
    """

    def __init__(self, folder: Path, number: int | None, error: int) -> None:
        self.folder, self.number, self.error = str(folder), number, error
        self.calls: list[str] = []
        self.fired = False

    def call(self, name: str, path: object) -> None:
        """Count a call, and raise the error if it is its turn."""
        if not isinstance(path, str | os.PathLike) or not os.fspath(path).startswith(self.folder):
            return
        self.calls.append(f"{name} {path}")
        if len(self.calls) - 1 == self.number:
            self.fired = True
            raise OSError(self.error, os.strerror(self.error), os.fspath(path))

    def __enter__(self) -> "FailingDisk":
        self.patch = pytest.MonkeyPatch()
        for name in CALLS:
            self.patch.setattr(os, name, self._counted(name, getattr(os, name)))
        self.patch.setattr(io, "open", self._open)
        self.patch.setattr(builtins, "open", self._open)
        return self

    def __exit__(self, *_: object) -> None:
        self.patch.undo()

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(path: Any = ".", *arguments: Any, **named: Any) -> Any:
            self.call(name, path)
            return call(path, *arguments, **named)

        return counted

    def _open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *_: Any,
    ) -> Any:
        self.call(f"open {mode}", file)
        raw = _File(file, mode.replace("b", "").replace("t", ""))
        raw.disk = self
        if buffering == 0:
            return raw
        both = io.BufferedRandom if "+" in mode else None
        buffered = (both or (io.BufferedReader if "r" in mode else io.BufferedWriter))(raw)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, encoding, errors, newline)
        text.mode = mode
        return text


class _File(io.FileIO):
    disk: FailingDisk

    def readinto(self, buffer: Any) -> int | None:
        self.disk.call("read", self.name)
        return super().readinto(buffer)

    def readall(self) -> bytes:
        self.disk.call("read", self.name)
        return super().readall()

    def write(self, data: Any) -> int | None:
        self.disk.call("write", self.name)
        return super().write(data)
