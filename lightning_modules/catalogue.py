"""Batches to predictions: the catalogues of models and distillers, in the order of the boards."""

from lightning_modules.attention_lrcn import AttentionLRCN
from lightning_modules.base import EmotionClassifier
from lightning_modules.cnn import CNN
from lightning_modules.cnn_lstm import CNNLSTM
from lightning_modules.distillation.adaptive_feedback import AdaptiveFeedback
from lightning_modules.distillation.base import Distiller
from lightning_modules.distillation.controls import (
    LabelSmoothing,
    MoreEpochs,
    SelfDistillation,
    ShuffledTeacher,
)
from lightning_modules.distillation.features import Features
from lightning_modules.distillation.soft_targets import SoftTargets
from lightning_modules.distillation.uncertainty_weighted import UncertaintyWeighted
from lightning_modules.dnn import DNN
from lightning_modules.emotionkd import EmotionKDStudent, EmotionKDTeacher
from lightning_modules.lstm import LSTM
from lightning_modules.mlstm_fcn import MLSTMFCN
from lightning_modules.rtcan_1d import RTCAN1D

MODELS: dict[str, type[EmotionClassifier]] = {
    "attention_lrcn": AttentionLRCN,
    "rtcan_1d": RTCAN1D,
    "mlstm_fcn": MLSTMFCN,
    "emotionkd_teacher": EmotionKDTeacher,
    "emotionkd_student": EmotionKDStudent,
    "dnn": DNN,
    "lstm": LSTM,
    "cnn": CNN,
    "cnn_lstm": CNNLSTM,
}

DISTILLERS: dict[str, type[Distiller]] = {
    "uncertainty_weighted": UncertaintyWeighted,
    "adaptive_feedback": AdaptiveFeedback,
    "soft_targets": SoftTargets,
    "features": Features,
    "self_distillation": SelfDistillation,
    "label_smoothing": LabelSmoothing,
    "shuffled_teacher": ShuffledTeacher,
    "more_epochs": MoreEpochs,
}
