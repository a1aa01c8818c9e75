"""``affectbench list``: the catalogues."""

import argparse
from collections.abc import Callable, Mapping

from benchmark.cli.command import DONE, Command

Rows = list[tuple[str, str]]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("catalogue", choices=list(CATALOGUES))


def show(arguments: argparse.Namespace) -> int:
    """Print the names of a catalogue, with a line about each."""
    rows = CATALOGUES[arguments.catalogue]()
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {about}".rstrip() for name, about in rows))
    return DONE


def _datasets() -> Rows:
    from datamodules.catalogue import DATASETS  # each catalogue is imported if it is asked for

    return [
        (name, f"{', '.join(dataset.tasks)}; {' '.join(dataset.signals)}; {dataset.access}")
        for name, dataset in DATASETS.items()
    ]


def _models() -> Rows:
    from benchmark.probes.catalogue import PROBES
    from lightning_modules.catalogue import MODELS

    rows = [(name, MODELS.about(name)) for name in MODELS]
    return rows + [(name, probe.about) for name, probe in PROBES.items()]


def _distillers() -> Rows:
    from lightning_modules.catalogue import DISTILLERS

    return [(name, DISTILLERS.about(name)) for name in DISTILLERS]


def _splits() -> Rows:
    from datamodules.splits import SPLITS

    return [(name, split.about) for name, split in SPLITS.items()]


def _calibrations() -> Rows:
    from datamodules.calibration import ABOUT, TIMED

    return [(f"{kind}:M" if kind in TIMED else kind, about) for kind, about in ABOUT.items()]


def _adapters() -> Rows:
    from benchmark.adapters.catalogue import ADAPTERS

    return [(name, adapter.about) for name, adapter in ADAPTERS.items()]


def _suites() -> Rows:
    from benchmark.plan.parse import about_suite, suite_names

    return [(name, about_suite(name)) for name in suite_names()]


CATALOGUES: Mapping[str, Callable[[], Rows]] = {
    "datasets": _datasets,
    "models": _models,
    "distillers": _distillers,
    "splits": _splits,
    "calibrations": _calibrations,
    "adapters": _adapters,
    "suites": _suites,
}
COMMAND = Command(
    "list datasets, models, distillers, splits, calibrations, adapters or suites",
    _arguments,
    show,
    ("affectbench list models",),
)
