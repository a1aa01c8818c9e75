"""The catalogues of models and distillers, in the order of the boards. Names need no torch."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from lightning_modules.base import EmotionClassifier
    from lightning_modules.distillation.base import Distiller

T = TypeVar("T")


class Catalogue(Mapping[str, type[T]]):
    """Classes by name, each imported when it is first asked for.

    Names, their order and their number are known without importing any class. ``catalogue[name]``,
    ``values()`` and ``items()`` import.

    Args:
        entries: By name, ``"module:Class"`` or a class.
    """

    def __init__(self, entries: Mapping[str, str | type[T]]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> type[T]:
        entry = self._entries[name]
        if not isinstance(entry, str):
            return entry
        kind: type[T] = resolve_name(entry)
        return kind

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def register(self, name: str, entry: str | type[T]) -> None:
        """Put an entry at the end of the catalogue, or in the place of the one with that name.

        Args:
            name: Name of the entry.
            entry: ``"module:Class"`` or a class.
        """
        self._entries[name] = entry

    def about(self, name: str) -> str:
        """Return the first line of a class's docstring, read from its source without an import."""
        entry = self._entries[name]
        text = _docstring(entry) if isinstance(entry, str) else inspect.getdoc(entry)
        return (text or "").partition("\n")[0]


def _docstring(entry: str) -> str | None:
    module, _, name = entry.partition(":")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"expected the source of {entry}, found no module {module}")
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return ast.get_docstring(node)
    raise AttributeError(f"expected a class {name} in {spec.origin}, found none")


MODELS: "Catalogue[EmotionClassifier]" = Catalogue(
    {
        "attention_lrcn": "lightning_modules.attention_lrcn:AttentionLRCN",
        "rtcan_1d": "lightning_modules.rtcan_1d:RTCAN1D",
        "mlstm_fcn": "lightning_modules.mlstm_fcn:MLSTMFCN",
        "resnet_1d": "lightning_modules.resnet_1d:ResNet1D",
        "inception_time": "lightning_modules.inception_time:InceptionTime",
        "tcn": "lightning_modules.tcn:TCN",
        "emotionkd_teacher": "lightning_modules.emotionkd:EmotionKDTeacher",
        "emotionkd_student": "lightning_modules.emotionkd:EmotionKDStudent",
        "dnn": "lightning_modules.dnn:DNN",
        "lstm": "lightning_modules.lstm:LSTM",
        "cnn": "lightning_modules.cnn:CNN",
        "cnn_lstm": "lightning_modules.cnn_lstm:CNNLSTM",
        "dgcnn": "lightning_modules.dgcnn:DGCNN",
        "eegnet": "lightning_modules.eegnet:EEGNet",
        "eegconformer": "lightning_modules.eegconformer:EEGConformer",
        "tsception": "lightning_modules.tsception:TSception",
    }
)

DISTILLERS: "Catalogue[Distiller]" = Catalogue(
    {
        "uncertainty_weighted": (
            "lightning_modules.distillation.uncertainty_weighted:UncertaintyWeighted"
        ),
        "adaptive_feedback": "lightning_modules.distillation.adaptive_feedback:AdaptiveFeedback",
        "soft_targets": "lightning_modules.distillation.soft_targets:SoftTargets",
        "features": "lightning_modules.distillation.features:Features",
        "self_distillation": "lightning_modules.distillation.controls:SelfDistillation",
        "label_smoothing": "lightning_modules.distillation.controls:LabelSmoothing",
        "shuffled_teacher": "lightning_modules.distillation.controls:ShuffledTeacher",
        "more_epochs": "lightning_modules.distillation.controls:MoreEpochs",
    }
)
