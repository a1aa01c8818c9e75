"""``affectbench list``: the catalogues."""

import argparse

from benchmark.cli.outcome import DONE


def show(arguments: argparse.Namespace) -> int:
    """Print what there is to choose from. What needs no torch does not import it."""
    if arguments.what == "suites":
        from benchmark.plan.suite import SUITES, suite_names

        rows = [
            (name, (SUITES / f"{name}.yaml").read_text().splitlines()[0].lstrip("# "))
            for name in suite_names()
        ]
    elif arguments.what == "splits":
        from datamodules.splits import SPLITS

        rows = [(name, "") for name in SPLITS]
    elif arguments.what == "distillers":
        from lightning_modules.catalogue import DISTILLERS

        rows = [(name, distiller.about) for name, distiller in DISTILLERS.items()]
    elif arguments.what == "datasets":
        from datamodules.catalogue import DATAMODULES

        rows = [
            (name, f"{', '.join(module.tasks)}; {' '.join(module.signals)}; {module.access}")
            for name, module in DATAMODULES.items()
        ]
    else:
        from benchmark.probes.fit import PROBES
        from lightning_modules.catalogue import MODELS

        rows = [(name, _first_line(model.__doc__)) for name, model in MODELS.items()]
        rows += [(name, probe.about) for name, probe in PROBES.items()]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {about}".rstrip() for name, about in rows))
    return DONE


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]
