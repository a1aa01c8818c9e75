"""TensorBoard: one file of events a run, in the folders of the store."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.tracking.content import draw_confusion, mean_scores
from datamodules.temporary import owned


class TensorBoardWriter:
    """Writes ``<root>/<board>/<model>/<fold>-<seed>-<id>/events.out.tfevents.<id>``.

    Args:
        root: Folder for ``tensorboard --logdir``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def has(self, run: Run) -> bool:
        return self._path(run).is_file()

    def write(self, result: Scored, curves: Mapping[int, Mapping[str, float]]) -> None:
        path, last = self._path(result.run), max(curves, default=0)
        with tempfile.TemporaryDirectory(prefix=owned()) as folder:
            with SummaryWriter(folder) as writer:
                for epoch, values in curves.items():
                    for name, value in values.items():
                        writer.add_scalar(name, value, epoch)
                for name, value in mean_scores(result).items():
                    writer.add_scalar(name, value, last)
                if result.confusion:
                    picture = draw_confusion(result)
                    writer.add_image("confusion_matrix", picture, last, dataformats="HWC")
                writer.add_text("run", f"```\n{json.dumps(result.run.as_dict(), indent=1)}\n```")
            (written,) = Path(folder).iterdir()  # its name holds that of the machine
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(written, path)

    def write_boards(self, folder: Path) -> None:
        """Do nothing: TensorBoard has no tables."""

    def close(self) -> None:
        """Do nothing: no file is open."""

    def _path(self, run: Run) -> Path:
        return self.root / run.folder / f"events.out.tfevents.{run.id}"
