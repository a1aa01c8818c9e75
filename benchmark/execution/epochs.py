"""Logger of a Trainer: what is logged in an epoch becomes one row of ``metrics.csv``."""

from argparse import Namespace
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from benchmark.curves import METRICS, curves_text


class EpochLogger(Logger):
    """Collects the values of each epoch, and writes them when fitting ends, whether well or not.

    Lightning's own CSVLogger writes a row whenever anything is logged, so that an epoch is spread
    over several.

    Args:
        folder: Folder in which ``metrics.csv`` is written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.curves: dict[int, dict[str, float]] = defaultdict(dict)

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add values to the epoch that they name."""
        values = {name: float(value) for name, value in metrics.items()}
        self.curves[int(values.pop("epoch")) + 1].update(values)

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Do nothing: ``run.json`` has them."""

    def finalize(self, status: str) -> None:
        if self.curves:
            (self.folder / METRICS).write_text(curves_text(self.curves))
