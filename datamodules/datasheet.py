"""Datasheets: what there is to know of a dataset before it is used. They need no torch.

Most of a datasheet is the docstring of the dataset's own file and the fields of its Dataset. This
file holds what neither says: uses that its terms or its design rule out.
"""

import inspect
import sys
from collections.abc import Iterator

from datamodules.dataset import Dataset
from datamodules.tasks import RatingTask, Task

ANY_DATASET = (
    "decisions about a single person, as on health, work, credit or guilt: scores here are means "
    "over people, and none says how good a model is for one of them",
)
"""Uses that no dataset of this kind is for."""
NO_CLOCK = (
    "a claim of recognising emotion where the probe time does as well: the conditions came in the "
    "same order for everybody"
)
NOT_ON = "passing the recordings on: the terms do not allow it, or not clearly"
NO_TRADE = "commercial use: the terms are for academic or research use"

NOT_FOR: dict[str, tuple[str, ...]] = {
    "wesad": (
        NO_TRADE,
        NOT_ON,
        "a claim of recognising emotion where the probe time does as well: baseline always comes "
        "first",
    ),
    "stress_predict": (NO_CLOCK,),
    "wearable_stress": (
        "a claim of recognising emotion where the probe time does as well: within each of the two "
        "versions of the protocol, the conditions came in one order",
        "a claim about the temperature or pulse of f07 under stress, which are void",
    ),
    "eegmat": (
        NO_CLOCK,
        "a claim about artefacts or raw EEG: the publisher has filtered it and removed artefacts",
    ),
    "deap": (NO_TRADE, NOT_ON),
    "amigos": (NO_TRADE, NOT_ON),
    "mahnob_hci": (NO_TRADE, NOT_ON),
    "pmemo": (
        "a claim about what a listener felt: the labels are means over other people, one a song",
        "passing on audio, lyrics or comments, which are other people's",
    ),
    "seed_v": (
        NO_TRADE,
        NOT_ON,
        "a claim of recognising emotion where the probe length does as well: the length of a film "
        "tells its emotion",
    ),
    "empatica_e4": ("anything that the people who were recorded did not agree to",),
    "synthetic": ("any claim about a model or about people: it is made up",),
    "noise": ("any claim about a model or about people: it is made up",),
}
"""Uses that each dataset must not be put to, besides those of ANY_DATASET."""


def datasheet(dataset: Dataset) -> str:
    """Return a datasheet in Markdown.

    Args:
        dataset: One of the catalogue, or of a plug-in.
    """
    return "\n".join(_lines(dataset)).rstrip() + "\n"


def _lines(dataset: Dataset) -> Iterator[str]:
    about = inspect.cleandoc(sys.modules[dataset.reader.__module__].__doc__ or "")
    yield from (f"# {dataset.title}", "", about or "Nothing is said about it.", "")
    yield from ("## Tasks", "")
    for name, task in dataset.every_task().items():
        more = ", run only if it is named" if name in dataset.published_tasks else ""
        yield f"* {name}{more}: {', '.join(task.classes)}{_threshold(task)} ({task.source})"
    yield from ("", "## Signals as models see them", "")
    recorded = dataset.recorded(tuple(dataset.signals))
    for name, (channels, sfreq) in dataset.signals.items():
        rate = f"{sfreq:g} Hz" if sfreq else "one vector a recording"
        option = (
            f", only with the option {dataset.optional[name]}" if name in dataset.optional else ""
        )
        derived = "" if name in recorded else ", derived"
        yield f"* {name}: {channels} channel{'s' if channels > 1 else ''}, {rate}{derived}{option}"
    yield from ("", "## How models are compared", "")
    yield f"* Score unit: {dataset.unit_name}."
    yield f"* Splits: {', '.join(dataset.splits)}; the first is the default."
    yield from ("", "## Terms and consent", "", f"* {dataset.access}")
    if dataset.download:
        yield f"* Terms as stated: {dataset.download.terms}."
    if dataset.has_files:
        yield (
            "* What the people who were recorded agreed to is not on record here: ask whoever "
            "recorded them."
        )
    else:
        yield "* Nobody was recorded."
    yield from ("", "## It must not be used for", "")
    yield from (f"* {use}." for use in (*ANY_DATASET, *NOT_FOR.get(dataset.name, ())))
    if dataset.name not in NOT_FOR:
        yield "* Whoever made this dataset has not said more."


def _threshold(task: Task) -> str:
    return ", of ratings" if isinstance(task, RatingTask) else ""
