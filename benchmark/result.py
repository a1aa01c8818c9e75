"""Result: what came out of a run. Names and numbers only, no live objects."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from benchmark.run import Run


@dataclass(frozen=True)
class Result:
    """What came out of a run.

    Args:
        run: What was asked.
        status: ``"done"`` or ``"failed"``.
        scores: Scores over the score units of each test subject, by subject.
        n_units: Number of score units of each test subject.
        units: Digest of all test units and their labels, by subject; models of one board agree.
        confusion: Counts of units of each test subject, true class by predicted class.
        classes: Names of the classes, in order of the confusion's rows and columns.
        labels: Where the classes of units come from, as the task says.
        parameters: Learnable values; for a forest, its nodes; 0 where there are none.
        efficiency: ``macs`` of a window, and ``latency_ms`` of it alone, on the run's device, and
            ``cpu_latency_ms``; empty for a probe.
        seconds: Wall time of ``prepare``, ``train`` and ``predict``.
        peak_memory: Of the process or, on a GPU, of the device, in bytes.
        epochs: Epochs trained, and the one that counts, from 1; None for a probe.
        device: What it ran on.
        devices: How many of them it was trained on; it was tested on one.
        threads: Threads that torch was allowed.
        versions: Of Python and the packages that numbers depend on.
        commit: Of this project, with ``+`` for uncommitted changes; empty outside a checkout.
        raw: Digest of the raw files of all subjects.
        trained_on: Windows of each class that the model was fitted on, copies included.
        deterministic: Whether torch was held to algorithms that give the same bits each time.
        notes: What a reader of the board must know.
        error: One line; empty if done.
        traceback: Empty if done.
    """

    run: Run
    status: Literal["done", "failed"]
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    n_units: Mapping[str, int] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    confusion: Mapping[str, list[list[int]]] = field(default_factory=dict)
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
    deterministic: bool = False
    notes: tuple[str, ...] = ()
    error: str = ""
    traceback: str = ""

    @property
    def findings(self) -> dict[str, Any]:
        """What two results of the same run must agree on, as plain values."""
        return {
            "scores": {subject: dict(values) for subject, values in self.scores.items()},
            "units": dict(self.units),
            "confusion": dict(self.confusion),
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**dataclasses.asdict(self), "run": self.run.as_dict(), "id": self.run.id}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The result that ``as_dict`` described."""
        known = {f.name: values[f.name] for f in dataclasses.fields(cls) if f.name in values}
        known["run"] = Run.from_dict(values["run"])
        known["notes"] = tuple(known["notes"])
        known["trained_on"] = tuple(known.get("trained_on", ()))
        known["classes"] = tuple(known.get("classes", ()))
        known["epochs"] = tuple(known["epochs"]) if known["epochs"] else None
        return cls(**known)
