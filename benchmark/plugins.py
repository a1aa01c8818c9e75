"""Plug-ins: models, datasets, distillers and probes from outside, beside the built-in ones.

A plug-in is a Python file, or a module that can be imported, with one or more of the dicts
``MODELS``, ``DATASETS``, ``DISTILLERS``, ``PROBES``, ``CLASSIFIERS`` (of probes), ``ENCODERS``
(frozen networks) and ``SPACES`` (of values of its models and probes, to be tuned), whose entries
join the catalogues under their names. It is code of the user's, and is run as such. The head of a
folder dataset, ``dataset.yaml``, is a plug-in without code.

What is loaded in a process is passed on with ``Places`` to whatever does runs: forked workers, Ray
tasks and the runs of ``verify``. A run's id covers the code of a plug-in's model, as that of any.
"""

import hashlib
import importlib
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.probes.catalogue import CLASSIFIER_NAMES, PROBES, Probe, encoder_probes
from benchmark.probes.encoders import Encoder
from benchmark.probes.spaces import SPACES as OF_PROBES
from datamodules.catalogue import DATASETS
from datamodules.dataset import Dataset
from datamodules.folder import folder_dataset
from datamodules.formats.folder_head import HEAD
from datamodules.formats.folders import listed
from lightning_modules.catalogue import DISTILLERS, MODELS
from lightning_modules.spaces import SPACES as OF_MODELS
from lightning_modules.spaces import Choice, Range

PREFIX = "affectbench_plugin_"
"""Beginning of the name under which a file is imported, so that it hides no other module."""
ENSEMBLE = "ensemble"
"""Name of the rows that are means of other models; no model and no probe may have it."""
NAME = r"[a-z][a-z0-9_]*"
"""Names of entries; they are parts of paths."""


def _add_classifier(name: str, build: Any) -> None:
    from benchmark.probes.classifiers import CLASSIFIERS  # imports scikit-learn

    CLASSIFIERS[name] = build


def _add_space(name: str, space: Any) -> None:
    spaces = OF_PROBES if name in PROBES else OF_MODELS
    spaces[name] = space


CATALOGUES: dict[str, Callable[[str, Any], object]] = {
    "MODELS": MODELS.register,
    "DATASETS": DATASETS.__setitem__,
    "DISTILLERS": DISTILLERS.register,
    "PROBES": PROBES.__setitem__,
    "CLASSIFIERS": _add_classifier,
    "SPACES": _add_space,
}
"""Function that puts an entry in its catalogue, by the name of the dict in a plug-in."""
OF_ENCODERS = "ENCODERS"
"""Dict of a plug-in whose entries become probes, two each."""
TAKEN: dict[str, tuple[Collection[str], ...]] = {
    "MODELS": (MODELS, PROBES, (ENSEMBLE,)),
    "PROBES": (MODELS, PROBES, (ENSEMBLE,)),
    "DATASETS": (DATASETS,),
    "DISTILLERS": (DISTILLERS,),
    "CLASSIFIERS": (CLASSIFIER_NAMES,),
    "SPACES": (),
}
"""Catalogues in which a name must be free: models and probes are rows of the same boards."""

_loaded: dict[str, ModuleType | None] = {}
_origins: dict[tuple[str, str], str] = {}


class PluginError(BenchmarkError):
    """A plug-in that cannot be loaded."""


def load(names: Iterable[str]) -> None:
    """Load plug-ins that this process does not have yet, and put their entries in the catalogues.

    Args:
        names: Paths of files that end in ``.py`` or ``dataset.yaml``, or names of modules.

    Raises:
        PluginError: No such file or module, an error in it, or an entry whose name is taken.
    """
    for name in names:
        key = str(Path(name).absolute()) if is_file(name) else name
        if key in _loaded:
            continue
        if Path(name).name == HEAD:
            dataset = folder_dataset(Path(key))
            _register([("DATASETS", dataset.name, dataset)], key)
            _loaded[key] = None
            continue
        module = _from_file(Path(key)) if is_file(name) else _imported(name)
        _register(_entries(module, key), key)
        _loaded[key] = module


def is_file(name: str) -> bool:
    """Return whether a plug-in is named by the path of a file, and not as a module."""
    return name.endswith(".py") or Path(name).name == HEAD


def heads(folder: Path) -> tuple[str, ...]:
    """Return the heads of folder datasets in a folder, or in a folder of its own each."""
    places = [folder, *(path for path in listed(folder, "*") if path.is_dir())]
    return tuple(str(path / HEAD) for path in places if (path / HEAD).is_file())


def loaded() -> tuple[str, ...]:
    """Return the names of all plug-ins that this process has loaded, as ``load`` takes them."""
    return tuple(_loaded)


def used(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the plug-ins that some entries are from, and a digest of the file of each.

    Args:
        names: Kind and name of each entry, as in ``("MODELS", "my_net")``; built-in ones have none.
    """
    plugins = {_origins[entry] for entry in names if entry in _origins}
    return {_short(name): _digest(name) for name in sorted(plugins)}


def not_loaded(dataset: str, model: str, distiller: str, plugins: Iterable[str]) -> str:
    """Return a line on what a run is of and no catalogue has; empty if everything is there.

    Args:
        dataset: Dataset of the run.
        model: Its model or probe.
        distiller: Its distiller; empty: none.
        plugins: Names of the plug-ins that its result is on record with.
    """
    lacking = [
        *([f"dataset {dataset}"] if dataset not in DATASETS else []),
        *([f"model {model}"] if not any(model in names for names in TAKEN["MODELS"]) else []),
        *([f"distiller {distiller}"] if distiller and distiller not in DISTILLERS else []),
    ]
    if not lacking:
        return ""
    files = ", ".join(plugins)
    return f"{', '.join(lacking)}: not loaded here" + (f"; --plugin {files}" if files else "")


def module_of(kind: str, name: str) -> str:
    """Return the name of the module that an entry of a plug-in is from; empty if built in."""
    origin = _origins.get((kind, name))
    module = _loaded[origin] if origin else None
    return module.__name__ if module else ""


def _short(name: str) -> str:
    """Return the name of a plug-in without its folder; a head is told by that of its folder."""
    path = Path(name)
    return f"{path.parent.name}/{HEAD}" if path.name == HEAD else path.name


def _digest(name: str) -> str:
    module = _loaded[name]
    file = module.__file__ if module else name
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise PluginError(f"no plug-in at {str(path)!r}: expected a Python file")
    name = PREFIX + path.stem
    if not name.isidentifier():
        raise PluginError(
            f"plug-in {path}: expected a file named like a variable, as my_model.py, found "
            f"{path.name}"
        )
    if name in sys.modules:
        raise PluginError(
            f"plug-in {path}: expected one file of this name, found {sys.modules[name].__file__} "
            "too. Rename one of them."
        )
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"plug-in {path}: expected a Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module  # before it runs, as classes in it are looked up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's code raises
        del sys.modules[name]
        raise PluginError(f"plug-in {path}: {type(error).__name__}: {error}") from error
    return module


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever a user's code raises
        raise PluginError(
            f"plug-in {name!r}: expected a module, or a path that ends in .py, found "
            f"{type(error).__name__}: {error}"
        ) from error


def _entries(module: ModuleType, name: str) -> list[tuple[str, str, Any]]:
    """Return kind, name and value of the entries of a module."""
    found: list[tuple[str, str, Any]] = []
    for kind in (*CATALOGUES, OF_ENCODERS):
        entries = getattr(module, kind, {})
        if not isinstance(entries, Mapping):
            raise PluginError(
                f"plug-in {name}: expected {kind} to be a dict, found {type(entries).__name__}"
            )
        if kind == OF_ENCODERS:
            for key, entry in entries.items():
                found += _probes(str(key), entry, name)
            continue
        found += [(kind, str(key), entry) for key, entry in entries.items()]
    if not found:
        kinds = ", ".join((*CATALOGUES, OF_ENCODERS))
        raise PluginError(f"plug-in {name}: expected a dict named {kinds}, or several, found none")
    return found


def _probes(key: str, entry: Any, name: str) -> list[tuple[str, str, Any]]:
    """Return the rows of an encoder as entries of ``PROBES``."""
    if not isinstance(entry, Encoder):
        raise PluginError(
            f"plug-in {name}: expected {key} of {OF_ENCODERS} to be an Encoder, found {entry!r}"
        )
    return [("PROBES", row, probe) for row, probe in encoder_probes(key, entry).items()]


def _register(found: Sequence[tuple[str, str, Any]], name: str) -> None:
    """Put entries in the catalogues, all of them or none."""
    named = {key for kind, key, _ in found if kind in ("MODELS", "PROBES")}
    for kind, key, entry in found:
        _check(kind, key, entry, name)
        if kind == "SPACES" and key not in named:
            raise PluginError(
                f"plug-in {name}: SPACES: expected models and probes of this plug-in, found {key}"
            )
    for kind, key, entry in found:
        CATALOGUES[kind](key, entry)
        _origins[kind, key] = name


def _check(kind: str, key: str, entry: object, name: str) -> None:
    """Raise PluginError for an entry that is none, or whose name another one has."""
    if not re.fullmatch(NAME, key):
        raise PluginError(
            f"plug-in {name}: {kind}: expected names of small letters, digits and _, found {key!r}"
        )
    if (kind, key) in _origins or any(key in catalogue for catalogue in TAKEN[kind]):
        owner = _origins.get((kind, key), "this project")
        raise PluginError(
            f"plug-in {name}: expected a new name in {kind}, found {key}, which {owner} has"
        )
    if kind == "DATASETS":
        if not isinstance(entry, Dataset) or entry.name != key:
            raise PluginError(
                f"plug-in {name}: expected a Dataset of the name {key}, found "
                f"{getattr(entry, 'name', type(entry).__name__)}"
            )
    elif kind == "PROBES":
        if not isinstance(entry, Probe):
            raise PluginError(f"plug-in {name}: expected {key} to be a Probe, found {entry!r}")
    elif kind == "CLASSIFIERS":
        if not callable(entry):
            raise PluginError(
                f"plug-in {name}: expected {key} of {kind} to be a function of seed, number of "
                f"classes and shape of the features, found {entry!r}"
            )
    elif kind == "SPACES":
        values = entry.values() if isinstance(entry, Mapping) else ()
        if not values or not all(isinstance(value, Range | Choice) for value in values):
            raise PluginError(
                f"plug-in {name}: expected {key} of {kind} to be a dict of Range and Choice by "
                f"name of a value, found {entry!r}"
            )
    elif not isinstance(entry, type):
        raise PluginError(
            f"plug-in {name}: expected {key} of {kind} to be a class, found {entry!r}; model() "
            "makes one of any network"
        )
