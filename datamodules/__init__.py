"""Raw files to batches. The names below are imported when they are first used."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from datamodules.catalogue import DATAMODULES as DATAMODULES

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"catalogue": ["DATAMODULES"]}
)
