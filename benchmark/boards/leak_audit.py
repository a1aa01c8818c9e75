"""Leak audit: the gain from each flaw of a protocol, on the same windows with the same model."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.cohort import recipe_label, signals_label
from benchmark.boards.flawed import Tested, averaged, by_row, tested
from benchmark.boards.statistics import CONFIDENCE, compare, holm
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.store import Store
from datamodules.errors import IncompatibleRunError
from datamodules.flags import ABOUT, FLAGS, known_flags
from datamodules.protocol import Padding

ZERO: Padding = "zero"
COLUMNS = (
    "board",
    "model",
    "signals",
    "recipe",
    "flaw",
    "besides",
    "padding",
    "n_subjects",
    "n_seeds",
    "without",
    "with",
    "adds",
    "low",
    "high",
    "p",
    "p_holm",
    "higher",
    "lower",
    "accuracy_without",
    "accuracy_with",
    "accuracy_adds",
    "accuracy_low",
    "accuracy_high",
    "same_windows",
    "relabelled",
    "trained_without",
    "trained_with",
    "commit",
    "reading",
)


def audit_table(results: Sequence[Scored], store: Store) -> pd.DataFrame:
    """Return one line a model and flaw that was run both without and with it, all else equal.

    A run under several flags is compared with one that has none of them, and with each that has
    one less. Where bare trials are padded with means or edges, they are compared with those padded
    with zeros too, so that one table says what each padding adds and how they differ. Compared are
    subjects of whom both have tested the same score units with the same seeds, over all folds
    together; seeds are averaged within a subject first. P-values are corrected (Holm) over all
    lines of a board.

    Args:
        results: Results of a store, honest and flawed.
        store: Their store, which holds the predictions.
    """
    rows = by_row(results)
    tests: dict[Run, dict[tuple[int, str], Tested]] = {}

    def scored(run: Run) -> dict[tuple[int, str], Tested]:
        if run not in tests:
            tests[run] = tested(rows[run], store)
        return tests[run]

    lines = []
    for run in rows:
        for flaw, plain in _compared(run):
            if plain in rows:
                line = _line(run, plain, flaw, scored(plain), scored(run))
                both = [*rows[plain], *rows[run]]
                line["trained_without"], line["trained_with"] = map(
                    _trained, (rows[plain], rows[run])
                )
                line["commit"] = " ".join(sorted({r.commit for r in both if r.commit}))
                lines.append(line)
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    for _, of_board in table[table["n_subjects"] > 0].groupby("board"):
        table.loc[of_board.index, "p_holm"] = holm(of_board["p"].tolist())
    position = {flag: number for number, flag in enumerate(FLAGS)}
    table["order"] = [
        tuple(position.get(flag, len(FLAGS)) for flag in flaw.split("+")) for flaw in table["flaw"]
    ]
    by = ["board", "model", "signals", "recipe", "order", "besides", "padding"]
    return table.sort_values(by, ignore_index=True)[list(COLUMNS)]


def audit_head() -> tuple[str, ...]:
    """Return the lines that say how to read the table."""
    return (
        "leak_audit: what a flaw adds to macro F1 here: the same model, windows and subjects "
        "scored without and with it, paired over subjects; a flaw of one size on these data may "
        "be of another size on others",
        f"low and high: Student t over subjects, {CONFIDENCE:.0%}; p: sign-flip test of the mean "
        "over subjects, p_holm over all lines of a board",
        *(f"{flag}: {about}" for flag, about in ABOUT.items()),
    )


def without(run: Run, flaw: Collection[str]) -> Run | None:
    """Return the run that has some flags less, and is the same otherwise.

    Without ``pad_reveals_length`` no trial is padded. None where the flags that are left cannot be
    set alone, so that there is no such run.
    """
    flags = known_flags(flag for flag in run.protocol.flags if flag not in flaw)
    padding = None if "pad_reveals_length" in flaw else run.protocol.padding
    try:
        protocol = replace(run.protocol, flags=flags, padding=padding)
    except IncompatibleRunError:
        return None
    teachers = tuple(replace(teacher, protocol=protocol.of_teachers()) for teacher in run.teachers)
    return replace(run, protocol=protocol, teachers=teachers)


def _compared(run: Run) -> Iterator[tuple[str, Run]]:
    """Yield each flaw of a run, by name, and the run without it."""
    for flaw in _flaws(run):
        plain = without(run, flaw)
        if plain is not None:
            yield "+".join(flaw), plain
    protocol = run.protocol
    if _bare(run) not in ("", ZERO):
        yield f"{protocol.padding} for zero", replace(run, protocol=replace(protocol, padding=ZERO))


def _bare(run: Run) -> str:
    """Return the value that trials are padded with and no mask tells; empty if there is none."""
    return (run.protocol.padding or "") if not run.protocol.mask else ""


def _flaws(run: Run) -> Iterator[tuple[str, ...]]:
    """Yield the flags that may be taken away: all, and one of several."""
    if run.protocol.flags:
        yield run.protocol.flags
    if len(run.protocol.flags) > 1:
        yield from ((flag,) for flag in run.protocol.flags)


def _line(
    run: Run,
    plain: Run,
    flaw: str,
    before: Mapping[tuple[int, str], Tested],
    after: Mapping[tuple[int, str], Tested],
) -> dict[str, Any]:
    seeds = {seed for seed, _ in before} & {seed for seed, _ in after}
    subjects = {subject for _, subject in after}
    paired = [
        subject
        for subject in sorted(subjects)
        if seeds
        and all((seed, subject) in arm for seed in seeds for arm in (before, after))
        and all(
            before[seed, subject].labels.keys() == after[seed, subject].labels.keys()
            for seed in seeds
        )
    ]
    keys = [(seed, subject) for seed in sorted(seeds) for subject in paired]
    line: dict[str, Any] = {
        "board": _board(plain),
        "model": run.name,
        "signals": signals_label(run),
        "recipe": recipe_label(run),
        "flaw": flaw,
        "besides": "+".join(plain.protocol.flags),
        "padding": _bare(run),
        "n_subjects": len(paired),
        "n_seeds": len(seeds),
        "p": np.nan,
        "reading": "no subject was scored on the same units without and with it",
    }
    if not paired:
        return line
    arms = [{key: arm[key] for key in keys} for arm in (before, after)]
    f1, accuracy = (
        [list(averaged(arm, name).values()) for arm in arms] for name in ("macro_f1", "accuracy")
    )
    by_f1, by_accuracy = compare(f1[1], f1[0]), compare(accuracy[1], accuracy[0])
    labels = [(before[key].labels, after[key].labels) for key in keys]
    moved = [one[unit] != two[unit] for one, two in labels for unit in one]
    return line | {
        "without": np.mean(f1[0]),
        "with": np.mean(f1[1]),
        "adds": by_f1.difference,
        "low": by_f1.low,
        "high": by_f1.high,
        "p": by_f1.p,
        "higher": by_f1.won,
        "lower": by_f1.lost,
        "accuracy_without": np.mean(accuracy[0]),
        "accuracy_with": np.mean(accuracy[1]),
        "accuracy_adds": by_accuracy.difference,
        "accuracy_low": by_accuracy.low,
        "accuracy_high": by_accuracy.high,
        "same_windows": all(before[key].windows == after[key].windows for key in keys),
        "relabelled": float(np.mean(moved)),
        "reading": f"{flaw.replace('+', ' and ')} adds {by_f1.difference:+.3f} macro F1 here"
        + ("" if np.isnan(by_f1.low) else f" ({by_f1.low:+.3f} to {by_f1.high:+.3f})"),
    }


def _board(run: Run) -> str:
    """Return the name of the board that a run would be on without flags and bare padding."""
    padding = run.protocol.padding if run.protocol.mask else None
    return replace(run, protocol=replace(run.protocol, flags=(), padding=padding)).board


def _trained(results: Sequence[Scored]) -> str:
    """Return the median over runs of the training windows of each class, as 120+80."""
    counts = [result.trained_on for result in results if result.trained_on]
    return "+".join(f"{n:.0f}" for n in np.median(counts, axis=0)) if counts else ""
