"""Results of other runs that a run cannot be done without."""

from benchmark.errors import BenchmarkError
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store


def finished(run: Run, store: Store, kind: str) -> Result:
    """Return the result of a run that another one needs.

    Args:
        run: The needed run.
        store: Store of its result.
        kind: What it is to the other, as ``"member"``, for the message.

    Raises:
        BenchmarkError: It is not finished.
    """
    result = store.result(run) if store.status(run) == "done" else None
    if result is None:
        raise BenchmarkError(
            f"expected a finished {kind}, found none: {run.label} "
            f"({store.status(run) or 'not run'}). affectbench run --retry-failed does both again"
        )
    return result
