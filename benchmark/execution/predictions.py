"""Predictions of a run: the columns of ``predictions.npz``, a row a tested window."""

import numpy as np
import numpy.typing as npt

from benchmark.store import Columns
from datamodules.datamodule import EmotionDataModule
from datamodules.windows import WindowIndex


def predictions(
    module: EmotionDataModule, windows: WindowIndex, probabilities: npt.NDArray[np.float64]
) -> Columns:
    """Return the columns of the predictions.

    Args:
        module: The datamodule, which holds the names of subjects and sessions.
        windows: The test windows.
        probabilities: Shape (N, K); or of several epochs, (E, N, K), which go to ``of_epochs``, and
            those of the last epoch to ``probabilities``.
    """
    sessions = np.array([recording.session for recording in module.fold.archive.recordings])
    several = probabilities.ndim == 3
    columns = {
        "subject": np.array(module.subjects)[windows.subject],
        "session": sessions[windows.recording],
        "trial": windows.trial,
        "unit": windows.unit,
        "start": windows.start,
        "label": windows.target,
        "probabilities": probabilities[-1] if several else probabilities,
    }
    return {**columns, "of_epochs": probabilities} if several else columns
