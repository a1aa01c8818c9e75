"""The catalogue of probes, in the order of the boards. Neither torch nor scikit-learn is needed.

A probe is a row of every board that a network has to beat, or that says what is wrong with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from benchmark.probes.encoders import ENCODERS, UNTRAINED, Encoder
from benchmark.typed import Value
from datamodules.errors import IncompatibleRunError
from datamodules.inputs import Inputs
from datamodules.signals.kinds import kind_of

Sees = Literal[
    "nothing",
    "time",
    "length",
    "motion",
    "subject",
    "stimulus",
    "signals",
    "windows",
    "embedding",
]
ClassifierName = str
"""Key of ``benchmark.probes.classifiers.CLASSIFIERS``: one of those below, or of a plug-in."""
CLASSIFIER_NAMES = (
    "forest",
    "linear",
    "gradient_boosting",
    "logistic",
    "svm_rbf",
    "minirocket",
    "tangent_space",
    "by_value",
    "frequencies",
    "most_frequent",
)


@dataclass(frozen=True)
class ProbeRecipe:
    """Windows of a probe.

    Args:
        window: Length in seconds; a dataset's score unit caps it.
        stride: From one training window's start to the next, in seconds.
        refit: Whether it is fitted on training and validation subjects together, as a network with
            this option is in the end.

    Raises:
        ValueError: A window or stride that is not positive, or refit neither true nor false.
    """

    window: float = 60.0
    stride: float = 30.0
    refit: bool = False

    def __post_init__(self) -> None:
        if not (self.window > 0 and self.stride > 0):
            raise ValueError(f"expected a positive window and stride, found {self}")
        if not isinstance(self.refit, bool):
            raise ValueError(f"expected refit to be true or false, found {self.refit!r}")


@dataclass(frozen=True)
class Probe:
    """A classifier from scikit-learn and what it may see.

    It is fitted on the subjects that a network of the same fold is trained on, and on no others. It
    has no epoch to choose, so it leaves the validation subjects alone, unless its recipe says
    ``refit``.

    Args:
        sees: ``"nothing"``; ``"time"``: seconds since the start of the session, as far as the
            dataset tells; ``"length"``: number of recorded seconds of a padded trial;
            ``"motion"``: features of acceleration; ``"signals"``: features of all other signals;
            ``"windows"``: samples of these, as ``benchmark.probes.windows.Windows``;
            ``"embedding"``: what its encoder makes of a window, see ``benchmark.encoders``;
            ``"stimulus"``: number of the stimulus, which many people got;
            ``"subject"``: the mean of those over all windows of the subject, which tells people
            apart, but not moments.
        classifier: Name of the classifier; empty: the head of an encoder.
        about: One line for ``affectbench list models``.
        simple: Whether it is a baseline that every claim about a network must beat.
        blind: Whether it sees nothing of the moment and should lose; a board on which it wins
            measures something else than emotion.
        published: Windows of the recipe ``published``, the only one that a probe has.
        arguments: Arguments of the classifier that a suite may change, with their defaults. The
            function that makes the classifier gets them by keyword.
        one_rate: Whether signals must have one rate, so that their channels are one array; it takes
            those of the rate that most channels have.
        least_channels: Smallest number of channels that it can use, all signals together.
        least_samples: Smallest number of samples in a window of a signal that it can use.
        encoder: Encoder whose embeddings it sees; None: it sees none.
        pretrained: Whether the weights of its encoder are from a file; if not, they are random.
    """

    sees: Sees
    classifier: ClassifierName
    about: str
    simple: bool = False
    blind: bool = False
    published: ProbeRecipe = ProbeRecipe()
    arguments: Mapping[str, Value] = field(default_factory=dict)
    one_rate: bool = False
    least_channels: int = 1
    least_samples: int = 1
    encoder: Encoder | None = None
    pretrained: bool = True

    def with_arguments(self, changes: Mapping[str, Value]) -> dict[str, Value]:
        """Return all arguments of the classifier: the defaults, but for some changes.

        Raises:
            ValueError: An argument that it has not, or a value of another kind than its default;
                in place of a word, a number may stand. No number may be negative.
        """
        for name, value in changes.items():
            if name not in self.arguments:
                expected = ", ".join(self.arguments) or "none"
                raise ValueError(f"expected arguments {expected}, found {name!r}")
            if not _is_like(value, default := self.arguments[name]):
                raise ValueError(f"expected {name} to be a value like {default!r}, found {value!r}")
        return {**self.arguments, **changes}

    def choose_signals(self, available: Inputs) -> tuple[str, ...]:
        """Return the signals that it takes.

        Args:
            available: Shapes of the signals of a dataset in a window, by name.

        Raises:
            IncompatibleRunError: None of them is a signal that it can use, or too few channels are.
        """
        if self.encoder:
            return self.encoder.choose_signals(available)
        if self.sees not in ("motion", "subject", "signals", "windows"):
            return ()
        motion = self.sees == "motion"
        signals = tuple(name for name in available if (kind_of(name) == "acc") == motion)
        if not signals:
            expected = "acc" if motion else "any signal but acc"
            raise IncompatibleRunError(f"takes {expected}; there is only {', '.join(available)}")
        long = [name for name in signals if available[name].n_times >= self.least_samples]
        if not long:
            raise IncompatibleRunError(
                f"takes windows of at least {self.least_samples} samples of a signal; those of "
                f"{', '.join(signals)} have fewer"
            )
        channels: dict[float, int] = {}  # by rate; of a single rate where that does not matter
        rates = {name: available[name].sfreq if self.one_rate else 0.0 for name in long}
        for name, rate in rates.items():
            channels[rate] = channels.get(rate, 0) + available[name].n_channels
        best = max(channels, key=lambda rate: channels[rate])
        if channels[best] < self.least_channels:
            at_one = " at one rate" if self.one_rate else ""
            raise IncompatibleRunError(
                f"takes at least {self.least_channels} channels{at_one}; of {', '.join(long)} "
                f"there are {channels[best]}"
            )
        return tuple(name for name in long if rates[name] == best)


def encoder_probes(name: str, encoder: Encoder) -> dict[str, Probe]:
    """Return the probe of an encoder, and that of its network with random weights.

    The second says how much of the first is owed to what the encoder was trained on.
    """
    windows = ProbeRecipe(encoder.window, encoder.window / 2)
    return {
        name: Probe("embedding", "", encoder.about, published=windows, encoder=encoder),
        name + UNTRAINED: Probe(
            "embedding",
            "",
            f"the network of {name} with random weights, which pre-training should beat",
            published=windows,
            encoder=encoder,
            pretrained=False,
        ),
    }


def _is_like(value: Value, default: Value) -> bool:
    """Return whether an argument may have a value in place of its default."""
    if isinstance(value, bool) or isinstance(default, bool):
        return type(value) is type(default)
    if isinstance(value, int | float):
        whole = isinstance(value, int) or not isinstance(default, int)
        return whole and 0 <= value < float("inf")
    return isinstance(value, str) and isinstance(default, str)


FOREST: Mapping[str, Value] = {"n_trees": 200, "min_leaf": 5, "max_features": "sqrt"}
LINEAR: Mapping[str, Value] = {"shrinkage": "auto"}

PROBES: dict[str, Probe] = {
    "random_forest": Probe(
        "signals",
        "forest",
        "random forest on hand-crafted features",
        simple=True,
        arguments=FOREST,
    ),
    "lda": Probe(
        "signals",
        "linear",
        "linear discriminant analysis on hand-crafted features",
        simple=True,
        arguments=LINEAR,
    ),
    "gradient_boosting": Probe(
        "signals",
        "gradient_boosting",
        "gradient-boosted trees on hand-crafted features",
        arguments={
            "learning_rate": 0.1,
            "max_iter": 100,
            "max_leaf_nodes": 31,
            "min_samples_leaf": 20,
            "l2": 0.0,
        },
    ),
    "logistic": Probe(
        "signals",
        "logistic",
        "logistic regression on hand-crafted features",
        arguments={"C": 1.0},
    ),
    "svm_rbf": Probe(
        "signals",
        "svm_rbf",
        "support vector machine, radial basis function, on hand-crafted features",
        arguments={"C": 1.0, "gamma": "scale"},
    ),
    "minirocket": Probe(
        "windows",
        "minirocket",
        "MiniRocket: fixed convolutions of raw windows, and a ridge classifier",
        arguments={"n_features": 10000},
        least_samples=9,
    ),
    "tangent_space": Probe(
        "windows",
        "tangent_space",
        "logistic regression in the tangent space of covariances of channels",
        arguments={"C": 1.0},
        one_rate=True,
        least_channels=2,
        least_samples=2,
    ),
    **{
        probe: entry
        for name, encoder in ENCODERS.items()
        for probe, entry in encoder_probes(name, encoder).items()
    },
    "subject_mean": Probe(
        "subject",
        "linear",
        "who it is, not when: features averaged over a person",
        blind=True,
        arguments=LINEAR,
    ),
    "motion": Probe(
        "motion", "forest", "random forest on acceleration alone", blind=True, arguments=FOREST
    ),
    "time": Probe(
        "time",
        "forest",
        "random forest on the seconds since the start",
        blind=True,
        arguments=FOREST,
    ),
    "length": Probe(
        "length",
        "forest",
        "random forest on the length of a padded trial",
        blind=True,
        arguments=FOREST,
    ),
    "stimulus": Probe(
        "stimulus",
        "by_value",
        "class frequencies of the same stimulus among the training people",
        blind=True,
    ),
    "prior": Probe(
        "nothing", "frequencies", "class frequencies of the training windows", blind=True
    ),
    "majority": Probe(
        "nothing", "most_frequent", "most frequent class of the training windows", blind=True
    ),
}
