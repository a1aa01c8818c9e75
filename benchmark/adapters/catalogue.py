"""The catalogue of adapters, in the order of the tables. Neither torch nor scikit-learn is needed.

An adapter gets the model of a run as it was kept and some labelled minutes of one person, and
answers for the rest of that person's recordings. Each person starts from the kept model anew.
"""

from dataclasses import dataclass

from benchmark.probes.catalogue import PROBES

ONE_CLASS = "labelled minutes of one class only: "
"""Beginning of the note of a run that names people with such."""


@dataclass(frozen=True)
class Adapter:
    """Facts about an adapter.

    Args:
        function: Function that does it, as ``"module:function"``; an ``Adapt`` of
            ``benchmark.adapters.person``.
        about: One line for the head of a table.
        one_class: What it does for a person whose minutes have one class only.
        of_probes: Whether it adapts probes, besides networks.
        of_features: Whether a probe must see features.
        anew: Whether it replaces a part of a network even without minutes, so that 0 minutes are a
            run of their own, with which others are compared.
    """

    function: str
    about: str
    one_class: str
    of_probes: bool = True
    of_features: bool = False
    anew: bool = False

    def why_not(self, model: str) -> str:
        """Return why it does not adapt a model or a probe; empty if it does."""
        probe = PROBES.get(model)
        if probe is None:
            return ""
        if not self.of_probes:
            return "a probe has no last layer that is trained by gradients"
        if self.of_features and probe.sees == "windows":
            return "it takes samples and no features, so that it has no head to refit"
        return ""


ADAPTERS: dict[str, Adapter] = {
    "head": Adapter(
        "benchmark.adapters.head:head",
        "a classifier is fitted anew on the training people and the person's minutes, a window of "
        "which counts as ten: of a network a logistic regression on embeddings, of a probe its own "
        "classifier on features",
        "it is fitted as for anybody, the training people having all classes",
        of_features=True,
        anew=True,
    ),
    "last_layer": Adapter(
        "benchmark.adapters.last_layer:last_layer",
        "the last layer of a network is trained on the person's minutes from the kept weights, by "
        "100 full steps of Adam at a learning rate of 0.001",
        "the network is left as it is: steps on one class teach to answer with it whatever is seen",
        of_probes=False,
    ),
    "prior_shift": Adapter(
        "benchmark.adapters.prior_shift:prior_shift",
        "probabilities are multiplied by the ratio of the person's class shares in the minutes, "
        "smoothed by five minutes of the training shares, to the training shares",
        "it is done as for anybody, and leans to that class, as far as the smoothing lets it",
    ),
}
