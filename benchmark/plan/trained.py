"""Runs that test the trained models of others; nothing is trained for them."""

from dataclasses import replace

from benchmark.probes.catalogue import KEPT, PROBES
from benchmark.run import Run
from datamodules.errors import IncompatibleRunError
from datamodules.protocol import Protocol


def test_of(trained: Run, protocol: Protocol) -> Run:
    """Return the run that tests the model of a run under another protocol.

    Args:
        trained: Run whose model is kept.
        protocol: Protocol of the test.

    Raises:
        IncompatibleRunError: The model of such a run is not kept.
    """
    if reason := why_not_kept(trained):
        raise IncompatibleRunError(reason)
    return replace(trained, protocol=protocol, trained=(trained,), alone="")


def why_not_kept(run: Run) -> str:
    """Return why the model of a run is not kept; empty if it is."""
    if run.members:
        return "an ensemble keeps no model of its own"
    probe = PROBES.get(run.model)
    if probe is None or probe.sees in KEPT:
        return ""
    return "its weights are in a file of yours" if probe.encoder else "it sees no signal"
