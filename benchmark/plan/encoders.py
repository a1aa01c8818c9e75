"""Frozen encoders in a plan: whose weights there are, and whether they fit a dataset."""

from collections.abc import Mapping
from dataclasses import replace

from benchmark.encoders.files import Weights
from benchmark.encoders.fit import freeze
from benchmark.plan.suite import Suite
from benchmark.probes.catalogue import PROBES
from benchmark.probes.encoders import UNTRAINED
from benchmark.run import Run
from datamodules.dataset import Dataset
from datamodules.errors import IncompatibleRunError


def applies(model: str, encoders: Mapping[str, Weights]) -> bool:
    """Return whether a model is among all that a suite may have: an encoder needs weights."""
    encoder = model in PROBES and PROBES[model].encoder
    return not encoder or model.removesuffix(UNTRAINED) in encoders


def with_weights(suite: Suite, run: Run) -> Run:
    """Return the run of a model; of an encoder, with its weights and what these were trained on.

    Raises:
        IncompatibleRunError: No weights, or windows that hold padding.
        WeightsError: A file that cannot be read.
    """
    probe = PROBES.get(run.model)
    if probe is None or probe.encoder is None:
        return run
    if run.protocol.padding:
        raise IncompatibleRunError("takes windows of recorded signal, found padded trials")
    if not probe.pretrained:
        return run
    weights = suite.encoders.get(run.model)
    if weights is None:
        raise IncompatibleRunError(
            f"takes weights from a file, found none: give it by --encoder {run.model}=FILE"
        )
    names = weights.pretrained_on or probe.encoder.pretrained_on
    return replace(run, pretrained=weights.digest, pretrained_on=names)


def check_encoder(
    suite: Suite, run: Run, dataset: Dataset, channels: Mapping[str, tuple[str, ...]]
) -> None:
    """Build the network of an encoder with its weights once, before anything is computed.

    Args:
        suite: Names the files of weights.
        run: Run of a model, with signals and windows.
        dataset: Its dataset.
        channels: Names of the channels of each signal.

    Raises:
        IncompatibleRunError: Channels or windows that it cannot take, or recordings that name
            channels differently.
        WeightsError: A file that does not fit it.
    """
    encoder = PROBES[run.model].encoder if run.model in PROBES else None
    if encoder:
        names = [name for signal in run.signals for name in channels[signal]]
        if "" in names:
            raise IncompatibleRunError(
                f"takes channels by name: expected the same names of {', '.join(run.signals)} in "
                "all recordings, found others in some"
            )
        seconds = run.window or dataset.window_length(run.recipe.window, run.protocol)
        weights = suite.encoders[run.model].file if run.pretrained else None
        freeze(encoder, names, seconds, weights)
