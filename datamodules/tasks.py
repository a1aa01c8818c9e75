"""Task: from the publisher's annotations of a segment to a class index."""

from collections.abc import Mapping
from dataclasses import dataclass

from datamodules.signals.recording import Segment


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be told apart, and where the classes come from.

    Args:
        name: Catalogue key, e.g. ``"stress"``.
        classes: Names of the K classes in order of their index.
        conditions: Class index of each published condition; the others are not part of the task.
        source: Who set the task: a paper, or the publisher's own readme.
        annotation: Key of the condition among a segment's annotations.

    Raises:
        ValueError: Fewer than two classes, or an index that names none of them.
    """

    name: str
    classes: tuple[str, ...]
    conditions: Mapping[str, int]
    source: str
    annotation: str = "condition"

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or set(self.conditions.values()) != set(range(len(self.classes))):
            raise ValueError(
                f"task {self.name}: expected conditions for each of {self.classes}, "
                f"found {dict(self.conditions)}"
            )

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.classes)

    def label(self, segment: Segment) -> int | None:
        """Class index of a segment; None if it is not part of this task."""
        return self.conditions.get(str(segment.annotations.get(self.annotation)))
