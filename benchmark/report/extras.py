"""Files of the leaderboards folder that the page shows as they are."""

import csv
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.boards.cohort import LeaderboardError
from benchmark.drawing import Picture
from benchmark.report import hints
from benchmark.report.personal import drawn
from benchmark.report.tables import Cell, Column, Table, number, pairs, plain, text

PUBLISHED, CALIBRATION, ROBUSTNESS = "published.csv", "calibration.csv", "robustness.csv"
PERSONALISATION = "personalisation.csv"
EXTRAS = {
    CALIBRATION: (
        "Calibration",
        "The same models with and without what is known of each person beforehand: what it adds.",
        (
            *("model", "calibration", "adds", "low", "high", "p_corrected", "none", "calibrated"),
            *("n_subjects", "n_units"),
        ),
    ),
    PERSONALISATION: (
        "Personalisation",
        "What a person's first minutes with labels add to a trained model, by each adapter.",
        ("board", "model", "adapter", "minutes", "macro_f1", "difference", "low", "high"),
    ),
    "leak_audit.csv": (
        "Leak audit",
        "The same models under protocols that leak, beside the honest one: what a flaw adds.",
        ("model", "flaw", "besides", "padding", "adds", "low", "high", "p_holm", "without", "with"),
    ),
    ROBUSTNESS: (
        "Robustness",
        "The same trained models on recordings as they are and with a sensor that fails: what they "
        "lose.",
        ("model", "corruption", "drop", "low", "high", "p_holm", "undisturbed", "disturbed"),
    ),
    PUBLISHED: (
        "Published",
        "What papers report on the datasets and tasks of this page. Only what was measured under "
        "the same protocol can be compared.",
        ("model", "variant", "metric", "value", "spread", "comparable", "source"),
    ),
    "selftest.json": (
        "Self-test",
        "Data with no effect and with a planted one, put through the same code.",
        (),
    ),
}
"""Title, what the file holds, and the columns that stand first, where there are such."""
OF_MODEL = ("model", "recipe", "signals", "undisturbed")
"""Columns of a line of what a model loses that are those of the model."""
CLAIM = 0.05
"""Corrected p-value below which a drop is marked."""
MANY = 30
"""Rows of all parts of a file together that are shown without being asked for."""


@dataclass(frozen=True)
class Part:
    """Rows of a file that belong together.

    Args:
        title: What they have in common; empty for all rows of a file.
        table: The rows.
        folded: Whether it is folded, whatever others are.
    """

    title: str
    table: Table
    folded: bool = False


@dataclass(frozen=True)
class Extra:
    """A file that is shown as it is.

    Args:
        key: Name in the address of its tab.
        title: Title of the tab.
        about: Sentence on its content.
        head: Its comment lines.
        parts: Its rows.
        folded: Whether they are so many that each part is folded.
        pictures: Pictures of its rows.
    """

    key: str
    title: str
    about: str
    head: tuple[str, ...]
    parts: tuple[Part, ...]
    folded: bool
    pictures: tuple[Picture, ...] = ()


def extras(folder: Path, measured: Collection[tuple[str, str]]) -> tuple[Extra, ...]:
    """Return the files that are there.

    Args:
        folder: Folder of the leaderboards.
        measured: Dataset and task of each board on the page; what was published of others is left
            out.

    Raises:
        LeaderboardError: A file that holds something else.
    """
    present = []
    for name, (title, about, first) in EXTRAS.items():
        path = folder / name
        if path.is_file():
            try:
                head, parts = _read(path, first, measured)
                pictures = drawn(path) if name == PERSONALISATION else ()
            except (ValueError, AttributeError, TypeError) as error:
                raise LeaderboardError(
                    f"{path}: expected a table, found otherwise ({error}). Write it anew, or "
                    "delete it to have the page without it."
                ) from error
            folded = name == PUBLISHED and sum(len(p.table.lines) for p in parts) > MANY
            present.append(Extra(path.stem, title, about, head, parts, folded, pictures))
    return tuple(present)


def _read(
    path: Path, first: Sequence[str], measured: Collection[tuple[str, str]]
) -> tuple[tuple[str, ...], tuple[Part, ...]]:
    """Return comment lines and rows of a CSV, or names and values, or rows, of JSON."""
    content = path.read_text()
    if path.suffix == ".json":
        values = json.loads(content)
        if isinstance(values, dict):
            return (), (Part("", pairs({name: _shown(value) for name, value in values.items()})),)
        names = list(dict.fromkeys(name for row in values for name in row))
        rows = [[_shown(row.get(name, "")) for name in names] for row in values]
        return (), (Part("", plain(names, rows)),)
    lines = content.splitlines()
    head = tuple(line[1:].strip() for line in lines if line.startswith("#"))
    names, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    if any(len(row) != len(names) for row in rows):
        raise ValueError(f"rows of other lengths than the {len(names)} columns")
    if path.name == PUBLISHED:
        return head, _published(names, rows, first, measured)
    if path.name == ROBUSTNESS:
        return head, _of_boards(names, rows, first)
    if path.name == CALIBRATION:
        return head, _calibration(names, rows, first)
    explained = hints.PERSONALISATION if path.name == PERSONALISATION else hints.LEAK_AUDIT
    return head, (Part("", plain(*_moved(names, rows, first), hints=explained)),)


def _of_boards(
    names: Sequence[str], rows: Sequence[Sequence[str]], first: Sequence[str]
) -> tuple[Part, ...]:
    """Return what each model of a board loses, and the rows with most columns on demand."""
    parts = []
    for board in dict.fromkeys(row[names.index("board")] for row in rows):
        chosen = [row for row in rows if row[names.index("board")] == board]
        table = plain(*_moved(names, chosen, first), shown=first, hints=hints.ROBUSTNESS)
        parts += [
            Part(board, _lost([dict(zip(names, row, strict=True)) for row in chosen])),
            Part(f"{board}: {len(chosen)} lines", table, folded=True),
        ]
    return tuple(parts)


def _lost(lines: Sequence[Mapping[str, str]]) -> Table:
    """Return a row a model and a column a corruption: the drop, marked where it is a claim."""
    corruptions = list(dict.fromkeys(line["corruption"] for line in lines))
    models: dict[tuple[str, ...], dict[str, Cell]] = {}
    for line in lines:
        label = tuple(line[name] for name in OF_MODEL)
        drop, p = (float(line[name] or "nan") for name in ("drop", "p_holm"))
        mark = "*" if p < CLAIM else ""
        cell = Cell(f"{drop:+.2f}{mark}", drop) if math.isfinite(drop) else text("")
        models.setdefault(label, {})[line["corruption"]] = cell
    columns = (
        *(Column(name, hints.ROBUSTNESS[name], name == "undisturbed") for name in OF_MODEL),
        *(Column(name, f"macro F1 that is lost; *: p_holm below {CLAIM}") for name in corruptions),
    )
    return Table(
        columns,
        tuple(
            (
                *map(text, label[:-1]),
                number(float(label[-1] or "nan"), ".2f"),
                *(of_model.get(name, text("")) for name in corruptions),
            )
            for label, of_model in models.items()
        ),
    )


def _published(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    first: Sequence[str],
    measured: Collection[tuple[str, str]],
) -> tuple[Part, ...]:
    """Return the values of each dataset and task of the page; most columns on demand."""
    dataset, task, comparable = (names.index(name) for name in ("dataset", "task", "comparable"))
    parts = []
    for pair in sorted(measured):
        chosen = [row for row in rows if (row[dataset], row[task]) == pair]
        if chosen:
            table = plain(*_moved(names, chosen, first), shown=first, hints=hints.PUBLISHED)
            alike = sum(row[comparable] == "yes" for row in chosen)
            title = f"{' · '.join(pair)}: {len(chosen)} rows, {alike or 'none'} comparable"
            parts.append(Part(title, table))
    return tuple(parts)


def _calibration(
    names: Sequence[str], rows: Sequence[Sequence[str]], first: Sequence[str]
) -> tuple[Part, ...]:
    """Return the lines of each board without calibration; most columns on demand."""
    place = names.index("board")
    boards = [row[place].partition("__calibrated_by")[0] for row in rows]
    return tuple(
        Part(
            board.replace("__", " · ").replace("_", " "),
            plain(
                *_moved(names, [r for r, b in zip(rows, boards, strict=True) if b == board], first),
                shown=first,
                hints=hints.CALIBRATION,
            ),
        )
        for board in dict.fromkeys(boards)
    )


def _moved(
    names: Sequence[str], rows: Sequence[Sequence[str]], first: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Return names and rows with some columns in front."""
    front = [names.index(name) for name in first if name in names]
    order = [*front, *(place for place in range(len(names)) if place not in front)]
    return [names[place] for place in order], [[row[place] for place in order] for row in rows]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
