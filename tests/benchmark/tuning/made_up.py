"""Studies of models that nobody trains, and results that nobody measured."""

from benchmark.campaign import Reporter
from benchmark.plan.expand import expand
from benchmark.plan.prepared import Prepared
from benchmark.plan.studies import Study, values_of
from benchmark.plan.suite import Suite
from benchmark.run import Run
from benchmark.scored import Scored
from datamodules.protocol import Protocol
from lightning_modules.metrics import SCORES

PEOPLE = tuple(f"S{number}" for number in range(1, 9))
RECORDINGS = Prepared(PEOPLE, {}, "d" * 16, contents={name: name for name in PEOPLE})
NAMES = ("balance", "batch_size", "lr", "weight_decay")


def who_is_tested(run: Run) -> list[str]:
    return run.protocol.splitting.people(run.subjects, run.protocol.dealing(run.fold, run.seed))


def made_up(run: Run, score: float, status: str = "done") -> Scored:
    """Return a result in which everybody who is tested has one score."""
    if status != "done":
        return Scored(run, status, error="it failed")
    return Scored(
        run,
        "done",
        scores={name: dict.fromkeys(SCORES, score) for name in who_is_tested(run)},
        n_units={name: 4 for name in who_is_tested(run)},
        units={name: name for name in who_is_tested(run)},
        confusion={name: [[2, 0], [0, 2]] for name in who_is_tested(run)},
    )


def by_values(run: Run) -> float:
    """Return a score that follows from the values of a candidate, and from the inner fold."""
    values = values_of(run, NAMES)
    distance = abs(float(values["lr"]) - 0.004) * 100
    return 0.9 - distance + 0.05 * (values["balance"] == "oversample") - 0.01 * run.fold


def studies(budget: int = 12, model: str = "cnn") -> tuple[Study, ...]:
    """Return the studies of two folds of a model."""
    suite = Suite(
        "s",
        datasets=("synthetic",),
        models=(model,),
        budget=budget,
        protocol=Protocol("subject_k_fold", 2),
        splits=("subject_k_fold",),
    )
    return expand(suite, {"synthetic": RECORDINGS}).studies


class Lines(Reporter):
    """Keeps what it is told."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def warn(self, line):
        self.lines.append(line)
