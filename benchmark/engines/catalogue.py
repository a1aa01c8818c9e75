"""The catalogue of engines. Neither torch nor Ray is imported before an engine is made."""

from importlib import import_module
from typing import TYPE_CHECKING

from benchmark.engines.placement import Placement

if TYPE_CHECKING:
    from benchmark.engines.engine import Engine

ENGINES: dict[str, str] = {
    "local": "benchmark.engines.local:LocalEngine",
    "ray": "benchmark.engines.ray:RayEngine",
}
"""Class of each engine, as ``module:Class``; it is made from a ``Placement``."""


def make_engine(name: str, placement: Placement) -> "Engine":
    """Return an engine of the catalogue; its module, and with it torch, is imported now.

    Raises:
        BenchmarkError: A placement that this engine cannot work on.
    """
    module, _, kind = ENGINES[name].partition(":")
    engine: Engine = getattr(import_module(module), kind)(placement)
    return engine
