"""``model``: any network as a model of the catalogue, with the signals it prefers and a recipe."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from datamodules.batch import Inputs
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.recipe import Recipe

PLAIN = Recipe(source="defaults of this project")


class Wrapped(nn.Module):
    """A network that gets its signals as it expects them, and whose logits become an Output.

    Args:
        network: Network that maps its signals to logits (B, K), or to an Output.
        inputs: Signals; one is passed as a tensor (B, C, T), several as a dict of such tensors.
        n_classes: Number of classes, K.
    """

    def __init__(self, network: nn.Module, inputs: Inputs, n_classes: int) -> None:
        super().__init__()
        self.wrapped = network
        self.names = tuple(inputs)
        self._embedding: Tensor | None = None
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1:]
        if last and last[0].out_features == n_classes:
            last[0].register_forward_pre_hook(self._keep)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        """Return logits and embedding; the latter is the input of the last linear layer.

        Where no linear layer gives the logits, they are the embedding too.
        """
        chosen = {name: signals[name] for name in self.names}
        self._embedding = None
        given = self.wrapped(chosen if len(chosen) > 1 else chosen[self.names[0]])
        if isinstance(given, Output):
            return given
        embedding, self._embedding = self._embedding, None
        return Output(given, given if embedding is None else embedding.flatten(1))

    def _keep(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._embedding = inputs[0]


def model(
    network: Callable[..., nn.Module],
    prefers: tuple[tuple[str, ...], ...] = (),
    recipe: Recipe = PLAIN,
    fast: Recipe | None = None,
) -> type[EmotionClassifier]:
    """Return a model of the catalogue whose network is any module.

    Example:
        >>> class Small(nn.Module):
        ...     def __init__(self, inputs, n_classes):
        ...         super().__init__()
        ...         ((_, spec),) = inputs.items()
        ...         self.layer = nn.Linear(spec.n_channels * spec.n_times, n_classes)
        ...     def forward(self, signal):  # (B, C, T)
        ...         return self.layer(signal.flatten(1))  # logits (B, K)
        >>> MODELS = {"small": model(Small, prefers=(("bvp",), ("eda",)))}

    Args:
        network: Class or function. It is called with the inputs (by name of a signal:
            ``n_channels``, ``n_times`` and ``sfreq``), the number of classes and, by name, the
            arguments that a suite sets. Its module takes one signal as a tensor (B, C, T), or
            several as a dict of them, and returns logits (B, K).
        prefers: Alternatives of signals, the best first; empty: every signal of a dataset.
        recipe: Recipe ``published``.
        fast: Recipe ``fast``; None: there is none.
    """

    def build(self: EmotionClassifier, *given: Any, **named: Any) -> None:
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        values = dict(bound.arguments)
        inputs, n_classes, of_run = (values.pop(n) for n in ("inputs", "n_classes", "recipe"))
        self.check_inputs(inputs)
        module = Wrapped(network(inputs, n_classes, **values), inputs, n_classes)
        EmotionClassifier.__init__(self, module, n_classes, of_run)
        self.save_hyperparameters(bound.arguments)

    name = getattr(network, "__name__", type(network).__name__)
    members: dict[str, Any] = {
        "__init__": build,
        "__module__": network.__module__,
        "__doc__": network.__doc__ or f"{name}, a network of a plug-in.",
        "prefers": prefers,
        "published": recipe,
        **({"fast": fast} if fast else {}),
    }
    kind = type(f"{name}Classifier", (EmotionClassifier,), members)
    signature = _signature(network, recipe)
    kind.__signature__ = signature  # type: ignore[attr-defined]  # what inspect reads of a class
    return kind


def _signature(network: Callable[..., nn.Module], recipe: Recipe) -> inspect.Signature:
    """Return inputs, number of classes and recipe, with the network's own arguments between."""
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    _, _, *own = inspect.signature(network).parameters.values()
    return inspect.Signature(
        [
            inspect.Parameter("inputs", either),
            inspect.Parameter("n_classes", either),
            *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
            inspect.Parameter("recipe", inspect.Parameter.KEYWORD_ONLY, default=recipe),
        ]
    )
