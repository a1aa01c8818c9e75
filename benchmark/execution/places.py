"""Places: where things are on this machine, and on what a run is done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.encoders.files import Weights
from benchmark.execution.parallel import Group, spreads
from benchmark.files import visible
from benchmark.plugins import loaded
from benchmark.run import Run
from benchmark.tracking.names import LoggerName


@dataclass(frozen=True)
class Places:
    """Folders and devices of this machine; nothing of it is part of a run.

    Args:
        data: Folder with a folder for each dataset, of its name.
        cache: Folder of prepared recordings.
        runs: Folder of results.
        device: ``"cpu"`` or ``"cuda"``.
        logger: ``"none"`` keeps no ``metrics.csv``; trackers read it once a run is committed.
        deterministic: Whether torch may use only algorithms that give the same bits each time.
        group: Processes that train a run together with this one; None: it works alone.
        profile: Whether each run leaves a file of where its time went.
        plugins: Plug-ins that runs may need; those of this process unless said.
        encoders: Weights of frozen encoders, by the name of the encoder.
    """

    data: Path
    cache: Path
    runs: Path
    device: str = "cpu"
    logger: LoggerName = "csv"
    deterministic: bool = False
    group: Group | None = None
    profile: bool = False
    plugins: tuple[str, ...] = field(default_factory=loaded)
    encoders: Mapping[str, Weights] = field(default_factory=dict)

    def group_of(self, run: Run) -> Group | None:
        """Return the processes that train a run; None for one that is trained on one device."""
        return self.group if spreads(run) else None

    def root(self, dataset: str) -> Path:
        """Return the folder of a dataset, in whatever case its name is written."""
        for folder in visible(self.data):
            if folder.is_dir() and folder.name.casefold() == dataset.casefold():
                return folder
        return self.data / dataset
