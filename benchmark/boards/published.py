"""Published values, and whether they can be compared with a board: computed, never typed.

Values are in ``literature/values.csv``, one a line, with the place where each stands; how they were
found is in ``literature/protocols.csv``, and nothing there says what it is worth. An empty field is
unknown.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from benchmark.boards.cohort import Cohort
from benchmark.run import Run
from datamodules.catalogue import DATASETS
from datamodules.protocol import Protocol
from lightning_modules.metrics import SCORES

LITERATURE = Path(__file__).parent / "literature"
PROTOCOL_FIELDS = (
    "split",
    "both_sides",
    "selection",
    "scaling",
    "oversampling",
    "labels_from",
    "padding",
    "unit",
    "averaged_over",
)
"""Fields of a protocol that are compared, besides metric and label rule; see ``accepted``."""
COLUMNS = (
    "dataset",
    "task",
    "n_classes",
    "signals",
    "model",
    "variant",
    "metric",
    "value",
    "spread",
    "spread_over",
    "board",
    "comparable",
    "differs",
    "unknown",
    "label_rule",
    *PROTOCOL_FIELDS,
    "source",
    "place",
    "checked",
    "note",
    "protocol",
    "stated_in",
    "protocol_note",
)
SOUND = (
    "inner",
    "last_epoch",
    "training_loss",
    "validation",
    "validation_subjects",
    "validation_trials",
    "validation_windows",
)
"""Ways of choosing the epoch that have not seen what is tested."""
VAGUE = ("", "f1")
"""Fields that say too little: nothing, or an F1 of which nobody says how it was averaged."""


@dataclass(frozen=True)
class Judgement:
    """Comparison of the protocol of a published value with that of a board.

    Attributes:
        differs: Fields that are not as on the board, with both values.
        unknown: Fields that nobody states.
    """

    differs: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def comparable(self) -> str:
        """``"no"`` if a field differs, else ``"unknown"`` if one is not known, else ``"yes"``."""
        return "no" if self.differs else "unknown" if self.unknown else "yes"


@cache
def published() -> tuple[Mapping[str, str], ...]:
    """Return every published value with its protocol, in the order of the file."""
    values = pd.read_csv(LITERATURE / "values.csv", dtype=str, keep_default_na=False)
    protocols = pd.read_csv(LITERATURE / "protocols.csv", dtype=str, keep_default_na=False)
    joined = values.merge(
        protocols.rename(columns={"note": "protocol_note"}),
        on="protocol",
        how="left",
        validate="many_to_one",
    )
    return tuple(joined.to_dict("records"))  # type: ignore[arg-type]  # columns are text


def accepted(run: Run) -> dict[str, tuple[str, ...]]:
    """Return the values of each field with which a published value is comparable to a board.

    The task, the split with its number of folds, what is scored, how trials are padded and how
    scores are averaged must be those of the board. Of the rest the board asks only that nothing has
    seen the tested subjects: the choice of the epoch, scaling, oversampling and thresholds.
    """
    dataset, protocol = DATASETS.get(run.dataset), run.protocol
    return {
        "metric": tuple(SCORES),
        "label_rule": (protocol.rule, "conditions"),
        "split": (protocol.slug,),
        "both_sides": ("subjects",) if protocol.splitting.within_subject else ("nothing",),
        "selection": SOUND,
        "scaling": () if protocol.calibrating else ("none", "window", "training"),
        "oversampling": ("none", "training"),
        "labels_from": ("fixed", "training"),
        "padding": (protocol.padding or "none",),
        "unit": (dataset.unit_name if dataset else "",),
        "averaged_over": ("subjects",),
    }


def judge(value: Mapping[str, str], run: Run, signals: bool = False) -> Judgement:
    """Compare the protocol of a published value with that of the board of a run.

    Args:
        value: As from ``published``, of the run's dataset and task.
        run: Any of the board.
        signals: Whether the signals of the run count too, as for a row of the board.
    """
    fields = accepted(run)
    if signals:
        fields["signals"] = ("+".join(sorted(run.signals)),)
    stated = {**value, "signals": "+".join(sorted(value["signals"].split("+")))}
    differs = tuple(
        f"{name}: {stated[name]}" + (f", here {accept[0]}" if len(accept) == 1 else "")
        for name, accept in fields.items()
        if stated[name] not in (*VAGUE, *accept)
    )
    return Judgement(differs, tuple(name for name in fields if stated[name] in VAGUE))


def of_row(run: Run) -> tuple[str, str]:
    """Return the values that papers report for the model of a row, on its dataset and task.

    Returns:
        The values in words, and whether they can be compared: the worst that holds for one of them,
        ``"no"`` before ``"unknown"`` before ``"yes"``; both empty where no paper reports any.
    """
    values = [
        value
        for value in published()
        if (value["dataset"], value["task"], value["model"]) == (run.dataset, run.task, run.name)
    ]
    words = [
        f"{value['metric']} {value['value']}"
        + (f" ({value['variant']})" if value["variant"] else "")
        for value in values
    ]
    judged = {judge(value, run, signals=True).comparable for value in values}
    worst = next((name for name in ("no", "unknown", "yes") if name in judged), "")
    return "; ".join(words), worst


def published_table(cohorts: Iterable[Cohort]) -> pd.DataFrame:
    """Return one line a published value and board of its dataset and task.

    Where none has run, the value is compared with the board that the dataset would have by default.
    """
    boards: dict[tuple[str, str], list[tuple[str, Run]]] = defaultdict(list)
    for cohort in cohorts:
        run = cohort.results[0].run
        if run.domain == run.dataset:
            boards[run.dataset, run.task].append((cohort.name, run))
    for name, dataset in DATASETS.items():
        for task in dataset.tasks:
            protocol = Protocol(dataset.splits[0])
            run = Run(name, task, protocol, 0, 0, "", (), (), "")
            boards[name, task] = boards.get((name, task)) or [(run.board, run)]
    lines = []
    for value in published():
        for board, run in boards.get((value["dataset"], value["task"]), ()):
            judgement = judge(value, run)
            lines.append(_line(value, board, judgement))
        if (value["dataset"], value["task"]) not in boards:
            lines.append(_line(value, "", Judgement((f"task: {value['task']}, none here",), ())))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _line(value: Mapping[str, str], board: str, judgement: Judgement) -> dict[str, str]:
    return {
        **value,
        "board": board,
        "comparable": judgement.comparable,
        "differs": _joined(judgement.differs),
        "unknown": _joined(judgement.unknown),
    }


def _joined(words: Sequence[str]) -> str:
    return "; ".join(words)
