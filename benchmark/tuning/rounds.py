"""Rounds: what many studies need next, done as one queue, until all of them have chosen."""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass

from benchmark.plan.ensembles import Ensemble
from benchmark.plan.studies import Study
from benchmark.run import Run
from benchmark.scored import Scored, scored
from benchmark.store import DamagedError, Store
from benchmark.tuning.members import chosen_members
from benchmark.tuning.search import Needs, search


@dataclass(eq=False)
class _Open:
    number: int
    study: Study | Ensemble
    searching: Generator[Needs, Mapping[str, Scored], Run]
    needs: Needs


class Rounds:
    """Studies under way; each goes on as soon as what it needs is in the store.

    Args:
        studies: The studies, and the ensembles.
        store: Store of the inner runs.
        retry_failed: Whether inner runs that failed before are done again, once.

    Attributes:
        damaged: Inner runs whose results are set aside; their studies wait until these are gone.
    """

    def __init__(
        self, studies: Iterable[Study | Ensemble], store: Store, retry_failed: bool = False
    ) -> None:
        self._store = store
        self._retry_failed = retry_failed
        self._handed_out: set[str] = set()
        self._open: list[_Open] = []
        self._chosen: dict[int, Run] = {}
        self.damaged: list[Run] = []
        for number, study in enumerate(studies):
            searching = search(study) if isinstance(study, Study) else chosen_members(study, store)
            self._open.append(_Open(number, study, searching, next(searching)))

    @property
    def open(self) -> list[Run]:
        """Trainings whose studies have not chosen yet, as they are without a choice."""
        return [one.study.run for one in self._open]

    @property
    def chosen(self) -> list[Run]:
        """Runs with what studies have chosen for them so far, in their order."""
        return [run for _, run in sorted(self._chosen.items(), key=lambda item: item[0])]

    @property
    def at_most(self) -> int:
        """Number of inner runs of the studies that have not chosen yet, if none is given up."""
        return sum(one.study.at_most for one in self._open)

    def advance(self) -> list[Run]:
        """Let every study go on as far as results allow; return the inner runs to be done now."""
        self.damaged = []
        todo: list[Run] = []
        for one in tuple(self._open):
            todo += self._advance(one)
        self._handed_out |= {run.id for run in todo}
        return list(dict.fromkeys(todo))

    def _advance(self, one: _Open) -> list[Run]:
        while True:
            results = {run.id: self._result(run) for run in one.needs}
            ended = {name: result for name, result in results.items() if result is not None}
            damaged = [result.run for result in ended.values() if result.status == "damaged"]
            self.damaged += damaged
            if damaged or len(ended) < len(results):
                return [run for run in one.needs if run.id not in ended]
            try:
                one.needs = one.searching.send(ended)
            except StopIteration as end:
                self._chosen[one.number] = end.value
                self._open.remove(one)
                return []

    def _result(self, run: Run) -> Scored | None:
        """Return the result of an inner run, damaged or not; None if it is to be done."""
        status = self._store.status(run)
        again = self._retry_failed and run.id not in self._handed_out
        if status is None or (status == "failed" and again):
            return None
        try:
            return scored(self._store, run) if status != "damaged" else Scored(run, "damaged")
        except DamagedError as error:
            self._store.put_aside(self._store.folder(run), error)
            return Scored(run, "damaged")
