"""Code: a digest of the source that defines a model, so that a changed model is other work."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from benchmark.adapters.catalogue import ADAPTERS
from benchmark.plugins import ENSEMBLE, PluginError, module_of, used
from benchmark.probes.catalogue import PROBES
from benchmark.probes.encoders import Encoder
from benchmark.run import Run
from datamodules.source import code_digest, source_of, text_digest
from lightning_modules.catalogue import DISTILLERS, MODELS

NO_SOURCE = "no-source"
"""In place of a digest, for a class that is defined in no file, as in an interactive session. Such
a model counts as unchanged however it changes."""
LEFT_OUT = frozenset(
    {
        "benchmark.probes.catalogue",  # a probe's own entry is part of its digest
        "lightning_modules",
        "lightning_modules.catalogue",
        "lightning_modules.recipe",  # the values of a recipe are in a run by name
    }
)
"""Modules that define no model by themselves, though models may import them."""


def code_of_run(run: Run) -> str:
    """Return the digest of the code that defines a run's model and its distiller.

    The teachers of a run, and the members of an ensemble, are runs with digests of their own. That
    of a run with an adapter covers the adapter too, that of a test on disturbed recordings what
    disturbs them.
    """
    if run.protocol.corruption:
        code = code_of_run(replace(run, protocol=replace(run.protocol, corruption="")))
        disturbing = code_of("datamodules.corruptions", ("datamodules.signals",))
        return text_digest(f"{code} {disturbing}")
    if run.adapter:
        adapter = ADAPTERS[run.adapter].function.partition(":")[0]
        code = code_of_run(replace(run, adapter=""))
        return text_digest(f"{code} {code_of(adapter, ('benchmark.adapters', 'benchmark.probes'))}")
    if run.model == ENSEMBLE:
        return code_of("benchmark.ensembles.greedy", ("benchmark.ensembles",))
    if run.model in PROBES:
        probe = PROBES[run.model]
        if probe.encoder:
            return _of_encoder(probe.encoder)
        code = code_of("benchmark.probes.fit", ("benchmark.probes", "datamodules.signals"))
        text = f"{code} {probe.sees} {probe.classifier} {sorted(probe.arguments.items())}"
        owner = module_of("CLASSIFIERS", probe.classifier)
        return text_digest(f"{text} {_of_plugin(owner)}" if owner else text)
    modules = [MODELS[run.model].__module__]
    if run.distiller:
        modules.append(DISTILLERS[run.distiller].__module__)
    codes = [code_of(name, (name.partition(".")[0], "lightning_modules")) for name in modules]
    if NO_SOURCE in codes:
        return NO_SOURCE
    return codes[0] if len(codes) == 1 else text_digest(" ".join(codes))


def plugins_of(run: Run) -> dict[str, str]:
    """Return the plug-ins that a run needs, and a digest of the file of each."""
    kind = "PROBES" if run.model in PROBES else "MODELS"
    names = [(kind, run.model), ("DATASETS", run.dataset), ("DISTILLERS", run.distiller)]
    others = (*run.teachers, *run.members)
    return used(names) | {name: value for one in others for name, value in plugins_of(one).items()}


def check_code(run: Run) -> None:
    """Raise PluginError if a plug-in is not as it was when the run was planned.

    A worker loads a plug-in later than the process that plans.
    """
    if plugins_of(run) and run.code and code_of_run(run) != run.code:
        raise PluginError(
            f"{run.label}: expected the plug-in as it was when the run was planned, found another. "
            "It was changed meanwhile; run again"
        )


def _of_encoder(encoder: Encoder) -> str:
    """Return the digest of the code that makes embeddings and fits the head, and of the network."""
    code = code_of("benchmark.encoders.fit", ("benchmark.encoders", "datamodules.signals"))
    package = encoder.module.partition(".")[0]
    network = code_of(encoder.module, (package, "lightning_modules"))
    return text_digest(f"{code} {network} {encoder.facts()}")


def _of_plugin(module: str) -> str:
    return code_of(module, (module.partition(".")[0],))


@lru_cache(maxsize=256)
def code_of(module: str, within: Sequence[str]) -> str:
    """Return the digest of a module's code and of what it imports from some packages.

    Args:
        module: Name of the module, as in ``lightning_modules.dnn``.
        within: Names of packages or modules, as a tuple; imports of anything else do not count.

    Returns:
        Hexadecimal digits, or ``NO_SOURCE`` if the module has no file.
    """
    if source_of(module) is None:
        return NO_SOURCE
    return code_digest([module], within, LEFT_OUT)
