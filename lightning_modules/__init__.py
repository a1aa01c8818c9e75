"""Batches to predictions. The names below are imported when they are first used."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from lightning_modules.base import EmotionClassifier as EmotionClassifier
    from lightning_modules.base import Output as Output
    from lightning_modules.catalogue import DISTILLERS as DISTILLERS
    from lightning_modules.catalogue import MODELS as MODELS
    from lightning_modules.recipe import Recipe as Recipe
    from lightning_modules.wrapped import model as model

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "base": ["EmotionClassifier", "Output"],
        "catalogue": ["DISTILLERS", "MODELS"],
        "recipe": ["Recipe"],
        "wrapped": ["model"],
    },
)
