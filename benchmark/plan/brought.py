"""One form of the signals of a transfer matrix: the lowest rate, and one unit of each quantity."""

from collections.abc import Collection, Iterator, Mapping

from benchmark.plan.domain import Domain
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import Suite
from datamodules.catalogue import DATASETS
from datamodules.dataset import Dataset
from datamodules.formats.folder_head import UNITS as OF_FEATURES
from datamodules.signals.kinds import kind_of
from datamodules.signals.preprocessing import sources
from datamodules.signals.recording import STATIC_RATE
from datamodules.signals.units import UNITS, Brought, same_quantity


def forms_of(suite: Suite, prepared: Mapping[Domain, Prepared]) -> dict[Domain, Brought]:
    """Return the measured signals of each domain that are brought to another rate or unit.

    Brought are signals that models may see, or that what they see is derived of, where every domain
    has them with as many channels: to the lowest rate among the domains, as a higher one would be
    made up, and to one unit where the units are of one quantity. A unit from which there is no
    conversion stays as it is.

    Args:
        suite: Suite with ``transfer``.
        prepared: Recordings of each domain, as on its own boards.
    """
    datasets = {domain: usable(domain, recordings) for domain, recordings in prepared.items()}
    shared = {
        name: {domain: dataset.signals[name] for domain, dataset in datasets.items()}
        for name in _shared(suite, datasets)
    }
    forms: dict[Domain, Brought] = {}
    for domain, recordings in prepared.items():
        brought = []
        for name, shapes in shared.items():
            lowest = min(rate for _, rate in shapes.values())
            units = {unit for one in prepared.values() for unit in one.units.get(name, ())}
            rate = lowest if shapes[domain][1] != lowest else 0.0
            unit = _common_unit(name, recordings.units.get(name, ()), units)
            if rate or unit:
                brought.append((name, rate, unit))
        forms[domain] = tuple(brought)
    return forms


def usable(domain: Domain, recordings: Prepared) -> Dataset:
    """Return the dataset of a domain in the form that was read, with what everybody has."""
    dataset = DATASETS[domain.dataset].brought(recordings.brought)
    return dataset.without(recordings.absent(recordings.subjects))


def lines_of_forms(domain: Domain, recordings: Prepared) -> Iterator[str]:
    """Yield a line for each signal of a domain that was brought to another form."""
    for name, rate, unit in recordings.brought:
        old = DATASETS[domain.dataset].signals[name][1]
        words = [f"from {old:g} to {rate:g} Hz"] if rate else []
        words += [f"to {unit}"] if unit else []
        yield (
            f"{name} of {domain.name} is brought {' and '.join(words)}, as other domains of the "
            "matrix have it, before anything is derived of it"
        )


def _shared(suite: Suite, datasets: Mapping[Domain, Dataset]) -> tuple[str, ...]:
    """Return the measured signals that models may need, and that all domains have alike."""
    available = {d: dataset.available(dict(d.options)) for d, dataset in datasets.items()}
    first, *others = available.values()
    names = [
        name
        for name in first
        if all(name in other for other in others) and (not suite.signals or name in suite.signals)
    ]
    needed = {n for dataset in datasets.values() for n in sources(names, dataset.preprocessing)}
    return tuple(
        name
        for name in first
        if name in needed
        and all(dataset.recorded([name]) for dataset in datasets.values())
        and all(name in other for other in others)
        and len({dataset.signals[name][0] for dataset in datasets.values()}) == 1
        and all(dataset.signals[name][1] > STATIC_RATE for dataset in datasets.values())
    )


def _common_unit(name: str, ours: Collection[str], units: Collection[str]) -> str:
    """Return the unit to which a domain's numbers are converted; empty: they stay as they are.

    Args:
        name: Name of the signal.
        ours: Its units in the domain.
        units: Its units in all domains.
    """
    alike = {unit for unit in units if unit in UNITS and ours and same_quantity(unit, *ours)}
    if len(alike) < 2:
        return ""
    usual = OF_FEATURES.get(kind_of(name), "")
    if not (usual and same_quantity(usual, *alike)):
        usual = next(unit for unit in UNITS if same_quantity(unit, *alike))
    return "" if {*ours} == {usual} else usual
