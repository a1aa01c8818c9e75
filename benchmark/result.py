"""Result: measurements of one run. Names and numbers only, no live objects."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from benchmark.run import Run
from benchmark.typed import check_fields
from benchmark.upgrade import SCHEMA, upgrade


@dataclass(frozen=True)
class Result:
    """Measurements of one run; its scores follow from the predictions beside it.

    Args:
        run: The run.
        status: ``"done"`` or ``"failed"``; ``"damaged"``, which no file says, if its predictions
            are not those that were committed.
        files: SHA-256 digest of each file that was committed beside ``result.json``, by name; empty
            for a result of schema 1.
        classes: Names of the classes, in order of the columns of the probabilities.
        labels: Source of the classes of units, in the task's words.
        parameters: Learnable values; for a forest, its nodes; 0 where there are none.
        efficiency: ``macs`` of a window, and ``latency_ms`` of it alone, on the run's device, and
            ``cpu_latency_ms``; empty for a probe. Of an ensemble, sums over its members, where all
            have them, and ``train_seconds``, in which these were trained by runs of their own.
        seconds: Wall time of ``prepare``, ``train`` and ``predict``.
        peak_memory: Peak of the process or, on a GPU, of the device, in bytes.
        epochs: Epochs trained, and the one that counts, from 1; None for a probe.
        device: Name of the device.
        devices: Number of them that it was trained on; it was tested on one.
        threads: Threads that torch was allowed.
        versions: Versions of Python and of the packages that numbers depend on.
        commit: Commit of this project, with ``+`` for uncommitted changes; empty outside a
            checkout.
        raw: Digest of the raw files of all subjects.
        trained_on: Windows of each class that the model was fitted on, copies included.
        chosen_with: Windows of each class in the training that chose the epoch, where the model was
            then refitted on more; else empty.
        deterministic: Whether torch was held to algorithms that give the same bits each time.
        control: Whether the distiller is a control, so that what it gains is no claim.
        ended: Time of its end, in seconds since the epoch.
        plugins: Digest by name of each plug-in that the run needed.
        notes: Lines that a reader of the board must know.
        error: One line; empty if done.
        traceback: Traceback of the error; empty if done.
        averaged: SHA-256 digest of the predictions of each member that an ensemble is the mean of,
            by the member's id.
    """

    run: Run
    status: Literal["done", "failed", "damaged"]
    files: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    labels: str = ""
    parameters: int = 0
    efficiency: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    epochs: tuple[int, int] | None = None
    device: str = ""
    devices: int = 1
    threads: int = 1
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    raw: str = ""
    trained_on: tuple[int, ...] = ()
    chosen_with: tuple[int, ...] = ()
    deterministic: bool = False
    control: bool = False
    ended: float = 0.0
    plugins: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str = ""
    traceback: str = ""
    averaged: Mapping[str, str] = field(default_factory=dict)

    @property
    def train_seconds(self) -> float:
        """Wall time of the training, or of those of an ensemble's members; NaN if not measured."""
        return self.efficiency.get("train_seconds", self.seconds.get("train", math.nan))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON, with the schema that they are of."""
        values = {name: getattr(self, name) for name in FIELDS}
        return {**values, "run": self.run.as_dict(), "id": self.run.id, "schema": SCHEMA}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Result":
        """Return the result that ``as_dict`` of this or of an older version described.

        Raises:
            SchemaError: A later version described it.
            IncompatibleRunError: Its run has names or values that this version does not know.
            KeyError, TypeError, ValueError: No description of a result.
        """
        new = upgrade(values, values.get("schema", 1))
        kept = {name: new[name] for name in FIELDS if name in new}
        kept["run"] = Run.from_dict(new["run"])
        for name in ("notes", "trained_on", "chosen_with", "classes"):
            kept[name] = _as_tuple(kept.get(name, ()))
        kept["epochs"] = _as_tuple(kept["epochs"])
        result = Result(**kept)
        check_fields(result)
        if result.status == "damaged":
            raise ValueError("expected status to be done or failed, found damaged")
        for name in COUNTS:
            if getattr(result, name) < 0:
                raise ValueError(f"expected {name} to be 0 or more, found {getattr(result, name)}")
        if any(value < 0 for value in result.seconds.values()):
            raise ValueError(f"expected seconds of 0 or more, found {dict(result.seconds)}")
        if "schema" in values and values.get("id") != result.run.id:
            raise ValueError(f"expected the id {result.run.id}, found {values.get('id')!r}")
        return result


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


FIELDS = tuple(f.name for f in fields(Result))
"""Names of what a result holds, without what follows from its predictions."""
COUNTS = ("parameters", "peak_memory", "devices", "threads", "ended")
"""Names of values that are never below 0."""
