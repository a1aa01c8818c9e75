"""Encoders: frozen networks whose embeddings a probe sees. Facts about them, which need no torch.

An encoder is trained elsewhere, on other recordings; here its weights come from a file of the
user's and do not change. What is fitted on a fold's training people is a logistic regression.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from datamodules.errors import IncompatibleRunError
from datamodules.inputs import Inputs

UNKNOWN = "unknown"
"""Name among those that an encoder was trained on where nobody can say what else."""
UNTRAINED = "_untrained"
"""End of the name of the same network with random weights."""


@dataclass(frozen=True)
class Encoder:
    """A network that maps windows (B, C, T) of some signals to embeddings (B, D).

    Recordings are filtered and brought to one rate as a whole, before windows are cut from them.

    Args:
        network: Function of the names of the channels and the number of samples in a window, which
            returns an ``nn.Module``, or ``"module:Class"``. It raises ValueError for what it cannot
            take. How samples are scaled is its own first layer.
        signals: Names of the signals, whose channels are one array in this order.
        sfreq: Rate in Hz.
        window: Seconds of a window; may be longer than a score unit where all segments hold more.
        pretrained_on: Names of the datasets that its published weights were trained on, those of
            this project by the names that it has for them; ``"unknown"`` if nobody can say.
        about: One line for ``affectbench list models``.
        band: Lower and upper edge in Hz of a band-pass without phase, None: no such edge.
        notch: Frequency of a notch against mains hum in Hz; None: none.
        unused: Beginnings of the names of weights that a file may hold and the network has not.

    Raises:
        ValueError: No signal, a rate or a window that is not positive, or nothing said on what it
            was trained on.
    """

    network: str | Callable[[Sequence[str], int], Any]
    signals: tuple[str, ...]
    sfreq: float
    window: float
    pretrained_on: tuple[str, ...]
    about: str
    band: tuple[float | None, float | None] = (None, None)
    notch: float | None = None
    unused: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.signals and self.sfreq > 0 and self.window > 0 and self.pretrained_on):
            raise ValueError(
                f"expected signals, a positive rate and window, and names of what it was trained "
                f"on, or {UNKNOWN!r}, found {self}"
            )

    @property
    def module(self) -> str:
        """Name of the module that defines the network."""
        network = self.network
        return network.partition(":")[0] if isinstance(network, str) else network.__module__

    def build(self, channels: Sequence[str], n_times: int) -> Any:
        """Return the network with random weights; ValueError for what it cannot take."""
        network = self.network
        build: Any = resolve_name(network) if isinstance(network, str) else network
        return build(channels, n_times)

    def choose_signals(self, available: Inputs) -> tuple[str, ...]:
        """Return its signals; raises IncompatibleRunError if a dataset lacks one."""
        lacking = [name for name in self.signals if name not in available]
        if lacking:
            raise IncompatibleRunError(
                f"takes {' + '.join(self.signals)}; there is no {', '.join(lacking)}"
            )
        return self.signals

    def is_causal(self, rates: Mapping[str, float]) -> bool:
        """Return whether recordings of some rates are taken as they are."""
        filters = self.notch is not None or self.band != (None, None)
        return not filters and all(rates[name] == self.sfreq for name in self.signals)

    def facts(self) -> tuple[object, ...]:
        """Return what its embeddings depend on besides code and weights."""
        return (self.signals, self.sfreq, self.band, self.notch)


ENCODERS: dict[str, Encoder] = {
    "labram": Encoder(
        "lightning_modules.encoders.labram:LaBraMNetwork",
        ("eeg",),
        sfreq=200.0,
        window=10.0,
        pretrained_on=(
            *("bci_competition_iv_1", "emobrain", "grasp_and_lift", "inria_bci", "eegmmidb"),
            *("raw_eeg_data", "resting_state_eeg", "seed", "seed_iv", "seed_ger", "seed_fra"),
            *("siena", "spis", "target_non_target", "tuar", "tuep", "tusz", "tusl"),
            "own_recordings",
        ),
        about="frozen LaBraM-Base, weights from --encoder; logistic regression on its embeddings",
        band=(0.1, 75.0),
        notch=50.0,
        unused=("mask_token", "lm_head.", "projection_head.", "logit_scale"),
    ),
    "cbramod": Encoder(
        "lightning_modules.encoders.cbramod:CBraModNetwork",
        ("eeg",),
        sfreq=200.0,
        window=30.0,
        pretrained_on=("tueg",),
        about="frozen CBraMod, weights from --encoder; logistic regression on its embeddings",
        band=(0.3, 75.0),
        notch=60.0,
        unused=("proj_out.", "patch_embedding.mask_encoding"),
    ),
}
"""Encoders of this project, in the order of the boards. What each was pre-trained on is as in its
paper (LaBraM: appendix D; CBraMod: section 3.1), of the authors' own file."""
