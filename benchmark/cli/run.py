"""``affectbench run``: do the runs of a suite that are not done yet."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

from benchmark.boards.board import left_behind, write_leaderboards
from benchmark.cli.boards import print_board
from benchmark.cli.outcome import DONE, FAILED
from benchmark.engines.devices import chosen, phases, workers
from benchmark.engines.live import Progress, Shown
from benchmark.engines.local import run_all
from benchmark.engines.worker import Finished
from benchmark.execution.execute import Places
from benchmark.execution.profile import summary
from benchmark.plan.expand import Prepared, expand, left_out
from benchmark.plan.order import Costs, Estimate, estimate, ordered, shard
from benchmark.plan.suite import Suite, SuiteError, reader_options
from benchmark.recordings.prepare import prepare
from benchmark.run import Run
from benchmark.store import Call, Store
from benchmark.tracking.tracker import Tracker, make_tracker
from datamodules.catalogue import DATAMODULES

Round = tuple[Sequence[Run], int, Callable[..., list[Run]]]
"""Runs, the number of workers that do them at a time, and the function that has them done."""
Rounds = Callable[[Sequence[Run], Store, Connection | None], Iterator[Round]]
"""Parts of a call, one after another; takes its runs, the store, and what workers may write to."""


def run(arguments: argparse.Namespace) -> int:
    """Do the runs of a suite that are not done yet, and write the leaderboards."""
    suite = _suite(arguments)
    store = Store(arguments.runs)
    with (
        _engine(arguments) as (slots, rounds),
        make_tracker(arguments.logger, arguments.wandb_mode, suite.name, store, _warn) as tracker,
    ):
        return _run(arguments, suite, store, tracker, slots, rounds)


def _suite(arguments: argparse.Namespace) -> Suite:
    """What was asked for."""
    suite = Suite.load(arguments.suite).narrowed(
        datasets=arguments.dataset,
        tasks=arguments.task,
        splits=arguments.split,
        models=arguments.model,
        seeds=arguments.seeds,
        signals=arguments.signals,
        subjects=arguments.subject,
    )
    if arguments.folds is not None:
        suite = suite.with_folds(arguments.folds)
    if arguments.recipe is not None:
        suite = suite.with_recipe(arguments.recipe)
    if arguments.max_epochs is not None:
        suite = suite.with_max_epochs(arguments.max_epochs)
    if arguments.effect is not None:
        suite = suite.with_option("synthetic", "effect", arguments.effect)
    return suite


def _run(
    arguments: argparse.Namespace,
    suite: Suite,
    store: Store,
    tracker: Tracker,
    slots: Sequence[str],
    rounds: Rounds,
) -> int:
    places = Places(
        arguments.data,
        arguments.cache,
        arguments.runs,
        logger=arguments.logger,
        deterministic=arguments.deterministic,
        profile=arguments.profile,
    )
    before = time.perf_counter()
    prepared = _prepared(suite, places, arguments.strict)
    preparing = time.perf_counter() - before
    plan = expand(suite, prepared)
    asked = shard(plan.runs, *arguments.shard) if arguments.shard else list(plan.runs)
    statuses = {run.id: store.status(run) for run in asked}
    again = ("failed",) if arguments.retry_failed else ()
    todo = [run for run in asked if statuses[run.id] in (None, *again)]
    for cell, reason in plan.not_applicable.items():
        print(f"not applicable: {cell}: {reason}")
    print(
        f"{len(asked)} runs on {len({run.board for run in asked})} board(s), "
        f"{len(asked) - len(todo)} of them finished before, {len(todo)} to do"
    )
    if arguments.dry_run:
        _print_todo(todo, estimate(todo, store, len(slots)), len(slots))
        return DONE
    costs = Costs(store.results())
    todo = ordered(todo, costs)
    store.save_plan(list(plan.runs))
    store.note_cells(plan.notes, plan.not_applicable)
    for run in asked:
        if statuses[run.id] not in (None, *again):
            tracker.add(run)
    if todo:
        timeout = arguments.timeout and arguments.timeout * 60
        end = arguments.max_hours and time.monotonic() + arguments.max_hours * 3600
        progress = Progress(asked, todo, statuses, costs, len(slots))
        shown, left, most = Shown(progress, slots), [], 1

        def finished(event: Finished) -> None:
            shown.finished(event)
            tracker.add(event.run, anew=True)

        with shown.shown() as output:
            for part, size, do in rounds(todo, store, output):
                progress.workers = min(size, len(part))
                most = max(most, progress.workers)
                left += do(
                    part,
                    places,
                    finished=finished,
                    timeout=timeout,
                    max_seconds=end and end - time.monotonic(),
                    costs=costs,
                    watch=progress.watch,
                )
        now = time.time()
        call = Call(
            arguments.called, progress.begun or now, now, most, progress.count, progress.busy
        )
        store.save_call(call)
        if arguments.profile:
            print(summary(store, todo, preparing))
        if left:
            print(
                f"{len(left)} run(s) left, as {arguments.max_hours:g} hours are over or too short "
                "for them; the same call goes on with them",
                file=sys.stderr,
            )
    else:
        print("nothing to compute: every run of this suite is finished")
    n_left_out = sum(len(found.left_out) for found in prepared.values())
    if arguments.shard:
        print("when every part is done, affectbench leaderboard writes the leaderboards")
        return _outcome(store, asked, n_left_out)
    boards = write_leaderboards(store, arguments.leaderboards)
    tracker.add_boards(arguments.leaderboards)
    wanted = {run.board for run in plan.runs}
    for board in boards:
        if board.name in wanted:
            print_board(board)
    for path in left_behind(store, arguments.leaderboards, boards):
        print(f"{path} is of runs that are gone; affectbench leaderboard removes it")
    print(
        f"{len(boards)} board(s), overall.csv, comparisons.csv, published.csv and runs.csv are in "
        f"{arguments.leaderboards}"
    )
    return _outcome(store, asked, n_left_out)


@contextmanager
def _engine(arguments: argparse.Namespace) -> Iterator[tuple[Sequence[str], Rounds]]:
    """What each worker is bound to, and who does runs."""
    names, jobs, per_run = arguments.devices, arguments.jobs_per_device, arguments.devices_per_run
    address = arguments.ray_address
    if arguments.engine == "local":
        if address:
            raise SuiteError("--ray-address is for --engine ray; ask for both, or neither")
        devices = chosen(names)

        def rounds(todo: Sequence[Run], store: Store, output: Connection | None) -> Iterator[Round]:
            for part, there in phases(todo, devices, jobs, per_run, store):
                yield part, len(there), partial(run_all, devices=there, output=output)

        yield workers(devices, None if jobs == "auto" else jobs, per_run), rounds
        return
    if jobs == "auto" or per_run != 1:
        raise SuiteError(
            "--engine ray puts each run on one device: expected a number of --jobs-per-device, and "
            "no --devices-per-run"
        )
    if address and names not in ("auto", "cpu"):
        raise SuiteError(
            f"Ray chooses the GPUs of a cluster: expected --devices auto or cpu, found {names}"
        )
    from benchmark.engines.ray import Cluster

    own = [] if address else workers(chosen(names), jobs)
    with Cluster(address, names, jobs, own) as cluster:
        size = cluster.slots()
        yield ["cpu"] * size, lambda todo, *_: iter([(todo, size, cluster.run_all)])


def _warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print_todo(todo: Sequence[Run], cost: Estimate, workers: int) -> None:
    for board in dict.fromkeys(run.board for run in todo):
        there = [run for run in todo if run.board == board]
        print(f"{board}: {len(there)} to do")
        for run in there:
            print(f"  {run.id}  {run.name} fold {run.fold} seed {run.seed}")
    measured = len(todo) - sum(cost.unknown.values())
    if measured:
        print(
            f"estimate for {measured} run(s): {cost.hours:.2f} hours on {workers} worker(s), "
            f"{cost.size / 2**20:.1f} MiB"
        )
    for what, count in cost.unknown.items():
        print(f"estimate for {count} run(s) of {what}: unknown, as none is finished")


def _outcome(store: Store, runs: Sequence[Run], n_left_out: int) -> int:
    statuses = {run: store.status(run) for run in runs}
    failed = [run for run, status in statuses.items() if status == "failed"]
    for run in failed:
        print(f"failed: {run.label}: see {store.folder(run)}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} run(s) failed; --retry-failed does them again", file=sys.stderr)
    if n_left_out:
        print(
            f"{n_left_out} subject(s) were left out; --subject names those that are wanted",
            file=sys.stderr,
        )
    return FAILED if n_left_out or any(s != "done" for s in statuses.values()) else DONE


def _prepared(suite: Suite, places: Places, strict: bool) -> dict[str, Prepared]:
    prepared = {}
    for name in suite.dataset_names(places.data):
        options = dict(reader_options(DATAMODULES[name], suite.options.get(name, {})))
        found = prepare(name, places.root(name), places.cache, options, suite.subjects)
        for line in left_out(found.left_out):
            print(f"{name}: {line}", file=sys.stderr)
        if strict and found.left_out:
            raise SuiteError(
                f"{name}: {len(found.left_out)} subject(s) cannot be read, and --strict was given; "
                "nothing was run"
            )
        prepared[name] = found
    return prepared
