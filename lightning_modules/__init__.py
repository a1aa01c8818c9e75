"""Batches to predictions: the catalogue of models, in the order of the boards."""

from lightning_modules.attention_lrcn import AttentionLRCN
from lightning_modules.base import EmotionClassifier
from lightning_modules.cnn import CNN

MODELS: dict[str, type[EmotionClassifier]] = {
    "attention_lrcn": AttentionLRCN,
    "cnn": CNN,
}
