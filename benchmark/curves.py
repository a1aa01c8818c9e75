"""Learning curves: ``metrics.csv`` beside a result, one row an epoch.

    epoch            epochs from 1, as in ``best_epoch`` of runs.csv
    train_loss       mean loss over the training windows, as it was minimised: class weights,
                     penalties and a distiller's terms included
    train_accuracy   share of training windows with the right class
    train_macro_f1   mean of F1 over the classes, of all training windows together
    val_...          the same of the validation windows; their loss is plain cross-entropy

Values of training are those of each batch before its step, those of validation are of the weights
at the end of the epoch. A distiller adds ``train_cross_entropy`` and, with teachers that stay the
same, ``train_divergence``. What was not measured is empty, as in the epoch in which a run failed.
Files of earlier versions have no accuracy, epochs from 0, a column ``step``, and the two halves of
an epoch in rows of their own; they are read as well.
"""

import csv
import io
import math
from collections.abc import Mapping

METRICS = "metrics.csv"
PARTS = ("train", "val")
MEASURES = ("loss", "accuracy", "macro_f1")
NAMES = tuple(f"{part}_{measure}" for part in PARTS for measure in MEASURES)
"""Columns that every file has, after the epoch."""

Curves = Mapping[int, Mapping[str, float]]
"""Values by name, by epoch from 1."""


def curves_text(curves: Curves) -> str:
    """Return the text of a ``metrics.csv``."""
    more = sorted({name for values in curves.values() for name in values} - {*NAMES})
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", *NAMES, *more], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"epoch": epoch, **values} for epoch, values in sorted(curves.items()))
    return text.getvalue()


def read_curves(text: str) -> dict[int, dict[str, float]]:
    """Return the curves of the text of a ``metrics.csv``, of this version or an earlier one.

    Raises:
        ValueError: The text is something else.
    """
    curves: dict[int, dict[str, float]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        earlier = row.pop("step", None) is not None
        try:
            epoch = int(row.pop("epoch")) + earlier
            values = {str(name): float(value) for name, value in row.items() if value}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"expected learning curves, found {str(row)[:80]!r}") from error
        curves.setdefault(epoch, {}).update(
            {name: value for name, value in values.items() if not math.isnan(value)}
        )
    return curves
