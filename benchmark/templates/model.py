"""my_model: a network of your own as a row of the boards.

affectbench run quick --plugin my_model.py --model my_model lda majority
"""

from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules import Recipe, model


class Network(nn.Module):
    """Any module: it gets one signal as a tensor (B, C, T), or several as a dict of them.

    Args:
        inputs: By name of a signal: ``n_channels``, ``n_times`` and ``sfreq`` of a window.
        n_classes: Number of classes, K.
        width: An argument of your own; a suite sets it by ``arguments: {my_model: {width: 8}}``.
    """

    def __init__(self, inputs: Inputs, n_classes: int, width: int = 16) -> None:
        super().__init__()
        ((_, signal),) = inputs.items()  # one signal, as ``prefers`` below names them singly
        self.body = nn.Sequential(
            nn.Conv1d(signal.n_channels, width, kernel_size=9, stride=2),
            nn.ReLU(),
            nn.Conv1d(width, width, kernel_size=9, stride=2),
            nn.ReLU(),
        )
        self.last = nn.Linear(width, n_classes)

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits, shape (B, K)."""
        features: Tensor = self.body(signal).mean(dim=2)  # (B, width)
        logits: Tensor = self.last(features)
        return logits


MODELS = {
    "my_model": model(
        Network,
        prefers=(("eda",), ("bvp",), ("ecg",), ("eeg",)),  # the first that a dataset has
        recipe=Recipe(source="mine", window=60.0, stride=30.0, lr=1e-3, max_epochs=5),
    )
}
