"""The part of a suite that was asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmark.plan.suite import ALL, FOUND, Suite, SuiteError, every_model, known_names

OPEN = ("subjects", "signals", "seeds", "splits", "calibrations")
"""Fields that may be set to values that the suite does not name."""

Part = Mapping[str, Any]


def narrowed(suite: Suite, **chosen: Sequence[Any] | None) -> Suite:
    """Return the part of a suite that was asked for.

    Args:
        suite: Whole suite.
        chosen: Values by field; None leaves a field as it is. Models are those that are trained
            alone, and the students of distillations.

    Raises:
        SuiteError: A value that the suite does not have.
    """
    changes: dict[str, Any] = {}
    parts = suite.parts
    for name, values in chosen.items():
        if values is None:
            continue
        if name == "models":
            of_suite, parts = _of_models(suite, parts, values)
            changes |= of_suite
            continue
        has = (*getattr(suite, name), *(v for part in suite.parts for v in part.get(name, ())))
        if name not in OPEN and not {ALL, FOUND} & set(has) and (has or name != "tasks"):
            known_names(map(str, values), list(map(str, has)), f"suite {suite.name}: {name}")
        changes[name] = tuple(values)
        remaining = (_narrowed_part(part, name, tuple(values)) for part in parts)
        parts = tuple(part for part in remaining if part is not None)
    if suite.parts and not parts:
        raise SuiteError(f"suite {suite.name}: none of its parts has all of what was asked for")
    return replace(suite, **changes, parts=parts)


def _of_models(
    suite: Suite, parts: Sequence[Part], names: Sequence[str]
) -> tuple[dict[str, Any], tuple[Part, ...]]:
    """Return fields and parts with some models only, trained alone or as students."""
    both = ("models", "distillations")
    fields = {name: getattr(suite, name) for name in both}
    has = [
        name
        for part in [{**fields, **part} for part in suite.parts] or [fields]
        for name in (
            *(every_model() if ALL in part["models"] else part["models"]),
            *(pair.student for pair in part["distillations"]),
        )
    ]
    known_names(names, dict.fromkeys(has), f"suite {suite.name}: models")

    def with_models(part: Part) -> dict[str, Any]:
        everything = ALL in part["models"]
        return {
            **part,
            "models": tuple(n for n in names if everything or n in part["models"]),
            "distillations": tuple(p for p in part["distillations"] if p.student in names),
        }

    if not suite.parts:
        return with_models(fields), ()
    remaining = (with_models({**fields, **part}) for part in parts)
    return {}, tuple(part for part in remaining if any(part[name] for name in both))


def _narrowed_part(part: Part, name: str, values: tuple[Any, ...]) -> Part | None:
    """Return a part of a suite with some values of a field; None if it has none of them."""
    if name not in part:
        return part
    kept = values
    if name not in OPEN and ALL not in part[name]:
        kept = tuple(value for value in values if value in part[name])
    return {**part, name: kept} if kept else None
