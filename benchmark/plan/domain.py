"""Domain: a dataset, or a part of one, in which models are trained, or those of others tested."""

from dataclasses import dataclass

from benchmark.typed import Value


@dataclass(frozen=True)
class Domain:
    """A dataset, or a part of it: an entry of ``transfer`` in a suite.

    Args:
        dataset: Catalogue key; ``found``: every dataset of the suite that no other entry names.
        options: Options of its reader, in place of those of the suite.
        task: Task on which models of other domains are tested; empty: the one that they were
            trained for.
        test_only: Whether no model is trained here.
    """

    dataset: str
    options: tuple[tuple[str, Value], ...] = ()
    task: str = ""
    test_only: bool = False

    @property
    def name(self) -> str:
        """Dataset, options and task, as in messages."""
        options = (f"{name}={value}" for name, value in self.options)
        return " ".join([self.dataset, *options, *filter(None, [self.task])])
