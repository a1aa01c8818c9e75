"""Values that an older version wrote, as those of today: every read of a store goes through here.

    schema 1    no ``schema``; scores, units and confusion beside each result; no digests of files
    schema 2    ``files``, ``ended`` and ``control``; scores follow from ``predictions.npz``; the
                protocol and the recipe of a run are mappings

A version adds one step below and counts SCHEMA up by one; a store of each older schema is a fixture
of the tests.
"""

from collections.abc import Mapping
from typing import Any

from benchmark.errors import BenchmarkError

SCHEMA = 2
"""Version of what ``result.json``, ``run.json`` and ``plan.json`` hold."""

DERIVED = ("scores", "n_units", "units", "confusion")
"""Values of schema 1 that follow from the predictions and are not believed any more."""
PROTOCOL = (
    *("split", "folds", "rule", "padding", "mask", "test_share", "validation", "score_windows"),
    "flags",
)
"""Values of a run of schema 1 that are those of its protocol."""
WRITTEN = (
    *("run", "status", "files", "classes", "labels", "parameters", "efficiency", "seconds"),
    *("peak_memory", "epochs", "device", "devices", "threads", "versions", "commit", "raw"),
    *("trained_on", "deterministic", "control", "ended", "notes", "error", "traceback"),
)
"""Values that every result of schema 2 has; those that came later have defaults."""
CONTROLS = ("self_distillation", "label_smoothing", "shuffled_teacher", "more_epochs")
"""Distillers of schema 1 that were controls; later results say so themselves."""


class SchemaError(BenchmarkError):
    """A file that a later version wrote."""


def upgrade(values: Mapping[str, Any], schema: int) -> dict[str, Any]:
    """Return the values of a result as of today.

    Args:
        values: Plain values, as in ``result.json``.
        schema: Version that wrote them.

    Raises:
        SchemaError: The version is later than this one.
        KeyError: Values that every result of the version has are not there.
    """
    check_schema(schema)
    missing = [name for name in WRITTEN if name not in values] if schema >= 2 else []
    if missing:
        raise KeyError(", ".join(missing))
    new = {**values, "run": upgrade_run(values["run"], schema)}
    if schema < 2:
        new = {name: value for name, value in new.items() if name not in DERIVED}
        new["control"] = new["run"].get("distiller", "") in CONTROLS
    return new


def upgrade_run(values: Mapping[str, Any], schema: int) -> dict[str, Any]:
    """Return the values of a run as of today; raises SchemaError like ``upgrade``."""
    check_schema(schema)
    new = dict(values)
    if schema < 2:
        flat = {name: new.pop(name) for name in PROTOCOL if name in new}
        if "protocol" in new:
            flat["version"] = new["protocol"]
        new["protocol"] = flat
        new["recipe"] = dict(new.get("recipe", ()))
        new["teachers"] = [upgrade_run(teacher, schema) for teacher in new.get("teachers", ())]
    return new


def check_schema(schema: int) -> None:
    """Raise SchemaError for a later version, and ValueError for what is no version."""
    if type(schema) is not int or schema < 1:
        raise ValueError(f"expected schema to be a whole number from 1 up, found {schema!r}")
    if schema > SCHEMA:
        raise SchemaError(
            f"expected results of schema {SCHEMA} or an older one, found schema {schema}: a later "
            "version of affectbench wrote them. Install that version, or name other --runs"
        )
