"""Errors of the benchmark that a user can mend."""

from datamodules.errors import AffectbenchError


class BenchmarkError(AffectbenchError):
    """A call, a suite or a store that cannot be what was meant."""
