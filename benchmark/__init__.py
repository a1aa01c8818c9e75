"""Runs to leaderboards. The names below are imported when they are first used."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from benchmark.campaign import Folders as Folders
    from benchmark.campaign import Options as Options
    from benchmark.campaign import Outcome as Outcome
    from benchmark.campaign import Reporter as Reporter
    from benchmark.campaign import run_suite as run_suite
    from benchmark.engines.local import LocalEngine as LocalEngine
    from benchmark.engines.placement import Placement as Placement
    from benchmark.plan.parse import load_suite as load_suite
    from benchmark.plan.suite import Suite as Suite
    from benchmark.result import Result as Result
    from benchmark.run import Run as Run
    from benchmark.store import Store as Store

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "campaign": ["Folders", "Options", "Outcome", "Reporter", "run_suite"],
        "engines.local": ["LocalEngine"],
        "engines.placement": ["Placement"],
        "plan.parse": ["load_suite"],
        "plan.suite": ["Suite"],
        "result": ["Result"],
        "run": ["Run"],
        "store": ["Store"],
    },
)
