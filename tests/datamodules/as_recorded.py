"""Windows of a datamodule as they were recorded, before any scaling."""

from datamodules.datamodule import EmotionDataModule
from datamodules.gathering import WindowDataset
from datamodules.windows import WindowIndex


def as_recorded(module: EmotionDataModule, windows: WindowIndex) -> WindowDataset:
    return module._gathering(windows, None, module._arrays(module.fold.archive, None))
