"""``affectbench run``: do the runs of a suite that are not done yet."""

import argparse
import os
import sys
import time
from collections.abc import Sequence

import torch

from benchmark.commands.boards import print_board
from benchmark.data import prepare
from benchmark.leaderboard import write_leaderboards
from benchmark.outcome import DONE, FAILED
from benchmark.plan import Prepared, expand, left_out
from benchmark.results import Call, Store
from benchmark.run import Run
from benchmark.runner import Finished, run_all, start_server
from benchmark.schedule import Costs, Estimate, estimate, ordered, shard
from benchmark.suite import Suite, SuiteError, reader_options
from benchmark.train import Places
from datamodules import DATAMODULES


def run(arguments: argparse.Namespace) -> int:
    """Do the runs of a suite that are not done yet, and write the leaderboards."""
    start_server()  # its imports go on while this process does its own
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
    places = Places(
        arguments.data, arguments.cache, arguments.runs, logger=arguments.logger, suite=suite.name
    )
    devices = _devices(arguments.devices, arguments.jobs_per_device)
    prepared = _prepared(suite, places, arguments.strict)
    plan = expand(suite, prepared)
    store = Store(arguments.runs)
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
        _print_todo(todo, estimate(todo, store, len(devices)), len(devices))
        return DONE
    costs = Costs(store.results())
    todo = ordered(todo, costs)
    store.save_plan(list(plan.runs))
    store.note_cells(plan.notes, plan.not_applicable)
    started, begun, count, busy = time.monotonic(), 0.0, 0, 0.0

    def finished(event: Finished) -> None:
        nonlocal begun, count, busy
        begun = begun or time.time() - event.busy
        count, busy = count + 1, busy + event.busy
        left = (time.monotonic() - started) / count * (len(todo) - count)
        outcome = f"macro F1 {event.score:.3f}" if event.score is not None else event.error
        print(
            f"[{count}/{len(todo)}] {event.run.label}: {event.status}, {outcome}, "
            f"{event.seconds:.1f} s; {_duration(left)} left",
            flush=True,
        )

    if todo:
        timeout = arguments.timeout and arguments.timeout * 60
        max_seconds = arguments.max_hours and arguments.max_hours * 3600
        left = run_all(todo, places, devices, finished, timeout, max_seconds, costs)
        workers = min(len(devices), len(todo))
        now = time.time()
        store.save_call(Call(arguments.called, begun or now, now, workers, count, busy))
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
    wanted = {run.board for run in plan.runs}
    for board in boards:
        if board.name in wanted:
            print_board(board)
    print(
        f"{len(boards)} board(s), overall.csv, comparisons.csv and runs.csv are in "
        f"{arguments.leaderboards}"
    )
    return _outcome(store, asked, n_left_out)


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


def _devices(names: str, jobs: int | None) -> list[str]:
    """Names of devices, each as often as it takes workers."""
    count = torch.cuda.device_count()
    if jobs is not None and jobs < 1:
        raise SuiteError(f"expected at least one job a device, found {jobs}")
    if names == "cpu" or (names == "auto" and not count):
        return ["cpu"] * (jobs or len(os.sched_getaffinity(0)))
    chosen = list(map(str, range(count))) if names == "auto" else names.split(",")
    for name in chosen:
        if not name.isdecimal() or int(name) >= count:
            raise SuiteError(
                f"no device {name!r}: expected cpu, auto, or some of the {count} GPU(s) by number"
            )
    return [name for name in chosen for _ in range(jobs or 1)]


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
