"""Raw files to batches. The names below are imported when they are first used.

Besides these, ``WESADDataModule`` and the like are the LightningDataModules of single datasets.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from datamodules.catalogue import DATASETS as DATASETS
    from datamodules.datamodule import EmotionDataModule as EmotionDataModule
    from datamodules.datamodule import Loading as Loading
    from datamodules.datamodule import Selection as Selection
    from datamodules.dataset import Dataset as Dataset
    from datamodules.fold import Windowing as Windowing
    from datamodules.protocol import Protocol as Protocol

_attached, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "catalogue": ["DATASETS"],
        "datamodule": ["EmotionDataModule", "Loading", "Selection"],
        "dataset": ["Dataset"],
        "fold": ["Windowing"],
        "protocol": ["Protocol"],
    },
)


def __getattr__(name: str) -> Any:
    if name.endswith("DataModule") and name not in __all__:
        datamodule = import_module("datamodules.datamodule")
        datasets = import_module("datamodules.catalogue").DATASETS.values()
        for dataset in datasets:
            if datamodule.class_name(dataset) == name:
                return datamodule.datamodule_of(dataset)
    return _attached(name)
