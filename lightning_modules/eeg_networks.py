"""EEGNet (Lawhern et al. 2018) and EEG Conformer (Song et al. 2022), as braindecode has them."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import ClassVar

from torch import Tensor, nn

from datamodules.batch import Inputs, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.mlstm_fcn import Resample
from lightning_modules.recipe import Recipe
from lightning_modules.wrapped import Wrapped

PUBLISHED_EEGNET = Recipe(
    source="Lawhern et al. 2018 and their example: Adam, 1e-3, batches of 16, 500 epochs, the "
    "epoch with the lowest validation loss; windows as long as those of its motor imagery",
    window=2.0,
    stride=2.0,
    lr=1e-3,
    batch_size=16,
    max_epochs=500,
    select_on="val_loss",
)

FAST_EEGNET = replace(
    PUBLISHED_EEGNET,
    source="this project's: the paper's with fewer epochs, chosen by macro F1",
    max_epochs=20,
    select_on="val_macro_f1",
)

PUBLISHED_CONFORMER = Recipe(
    source="Song et al. 2022: Adam, 2e-4, batches of 72, 2000 epochs, windows of 4 s",
    window=4.0,
    stride=4.0,
    lr=2e-4,
    batch_size=72,
    max_epochs=2000,
)

FAST_CONFORMER = replace(
    PUBLISHED_CONFORMER,
    source="this project's: the paper's with fewer epochs and smaller batches",
    batch_size=16,
    max_epochs=10,
)


def resampled(spec: SignalSpec, sfreq: float) -> SignalSpec:
    """Return the shape of a signal of the same duration at another rate in Hz."""
    return SignalSpec(spec.n_channels, round(spec.n_times * sfreq / spec.sfreq), sfreq)


def make_eegnet(spec: SignalSpec, n_classes: int) -> nn.Module:
    """Return braindecode's EEGNet-8,2 with both of the paper's limits on norms."""
    from braindecode.models import EEGNet as Network  # an extra, and takes seconds to import

    return Network(
        n_chans=spec.n_channels,
        n_outputs=n_classes,
        n_times=spec.n_times,
        F1=8,
        D=2,
        kernel_length=64,
        drop_prob=0.25,
        final_layer_with_constraint=True,
        norm_rate=0.25,
    )


def make_conformer(spec: SignalSpec, n_classes: int) -> nn.Module:
    """Return braindecode's EEG Conformer."""
    from braindecode.models import EEGConformer as Network  # an extra, and takes seconds to import

    return Network(n_chans=spec.n_channels, n_outputs=n_classes, n_times=spec.n_times)


class EEGClassifier(EmotionClassifier):
    """A classifier of EEG whose network is braindecode's, at the rate that it was made for.

    Args:
        inputs: One EEG signal.
        n_classes: Number of classes, K.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.
    """

    prefers = (("eeg",),)
    sfreq: ClassVar[float]
    """Rate in Hz at which the network's lengths in samples are those of the paper."""
    shortest: ClassVar[int]
    """Number of samples at that rate that the network needs."""
    make: ClassVar[Callable[[SignalSpec, int], nn.Module]]
    """Function that makes the network for windows at that rate."""

    def __init__(self, inputs: Inputs, n_classes: int, recipe: Recipe) -> None:
        self.check_inputs(inputs)
        super().__init__(
            EEGNetwork(inputs, n_classes, self.sfreq, type(self).make), n_classes, recipe
        )

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError unless there is one signal, long enough, and braindecode."""
        super().check_inputs(inputs)
        if len(inputs) != 1:
            raise IncompatibleRunError(
                f"{cls.__name__} takes one EEG signal, found {', '.join(inputs) or 'none'}"
            )
        ((name, spec),) = inputs.items()
        n_times = resampled(spec, cls.sfreq).n_times
        if spec.n_channels < 1 or n_times < cls.shortest:
            raise IncompatibleRunError(
                f"{cls.__name__} takes at least one channel and {cls.shortest / cls.sfreq:.2g} s, "
                f"found {spec.n_channels} and {spec.n_times / spec.sfreq:.2g} s of {name}. Take a "
                "longer window."
            )
        if find_spec("braindecode") is None:
            raise IncompatibleRunError(
                f"{cls.__name__} takes its network from braindecode: expected it to be installed, "
                "found no such package. Run pip install 'affectbench[eeg]'."
            )


class EEGNetwork(nn.Module):
    """A network of braindecode behind a change of rate.

    Args:
        inputs: One EEG signal.
        n_classes: Number of classes, K.
        sfreq: Rate in Hz at which the network reads it.
        make: Function that makes the network.
    """

    def __init__(
        self,
        inputs: Inputs,
        n_classes: int,
        sfreq: float,
        make: Callable[[SignalSpec, int], nn.Module],
    ) -> None:
        super().__init__()
        ((self.name, spec),) = inputs.items()
        read = resampled(spec, sfreq)
        same = spec.sfreq == sfreq
        self.resample = nn.Identity() if same else Resample(spec, sfreq, read.n_times)
        with warnings.catch_warnings():  # of libraries below braindecode, while it is imported
            warnings.simplefilter("ignore")
            network = make(read, n_classes)
        self.network = Wrapped(network, {self.name: read}, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        output: Output = self.network({self.name: self.resample(signals[self.name])})
        return output


class EEGNet(EEGClassifier):
    """EEGNet-8,2 on EEG at 128 Hz, in braindecode's implementation.

    A convolution in time, two over electrodes for each of its eight maps, a separable convolution
    in time, one linear layer. Dropout is 0.25, the paper's for people who were not trained on.

    Departures from the paper, and why:

    * EEG at another rate than 128 Hz goes through Resample, as the network's kernels are lengths in
      samples at 128 Hz.
    * Before a window an even kernel has one zero more than after it, in braindecode; in the
      authors' framework it is the other way round.
    * Samples are standardised with moments of the training subjects, and filtered as the dataset
      is; the paper filters each of its four paradigms in its own way.

    As published: the norm of each filter over electrodes is at most 1, that of each row of the
    linear layer at most 0.25.

    References:
        Lawhern et al., EEGNet: a compact convolutional neural network for EEG-based brain-computer
        interfaces, Journal of Neural Engineering 15 (2018) 056013, arXiv 1611.08024.

        Network: braindecode (BSD 3-Clause), https://braindecode.org.
    """

    published = PUBLISHED_EEGNET
    fast = FAST_EEGNET
    sfreq = 128.0
    shortest = 32
    make = staticmethod(make_eegnet)

    def __init__(self, inputs: Inputs, n_classes: int, recipe: Recipe = PUBLISHED_EEGNET) -> None:
        super().__init__(inputs, n_classes, recipe)
        self.save_hyperparameters()


class EEGConformer(EEGClassifier):
    """EEG Conformer on EEG at 250 Hz, in braindecode's implementation by the paper's first author.

    A convolution in time and one over electrodes, a mean over 0.3 s every 60 ms, six layers of
    attention over these means, three linear layers.

    Departures from the paper, and why:

    * EEG at another rate than 250 Hz goes through Resample, as the network's kernels are lengths in
      samples at 250 Hz.
    * Windows are not augmented; the paper puts new ones together from pieces of training windows.
    * Adam has its usual moments, 0.9 and 0.999, where the paper has 0.5 and 0.999.
    * Samples are standardised with moments of the training subjects, and filtered as the dataset
      is; the paper filters at 4 to 40 Hz and standardises.
    * The epoch is chosen on validation subjects by macro F1; the paper has no validation set.

    References:
        Song, Zheng, Liu and Gao, EEG Conformer: Convolutional Transformer for EEG Decoding and
        Visualization, IEEE TNSRE 31 (2023) 710-719.

        Network: braindecode (BSD 3-Clause), https://braindecode.org.
    """

    published = PUBLISHED_CONFORMER
    fast = FAST_CONFORMER
    sfreq = 250.0
    shortest = 25 - 1 + 75
    make = staticmethod(make_conformer)

    def __init__(
        self, inputs: Inputs, n_classes: int, recipe: Recipe = PUBLISHED_CONFORMER
    ) -> None:
        super().__init__(inputs, n_classes, recipe)
        self.save_hyperparameters()
