"""The command line. A command's module is imported when the command is chosen, not before."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.leaderboard import Board
    from benchmark.plan import Prepared
    from benchmark.results import Call, Store
    from benchmark.run import Run
    from benchmark.schedule import Estimate
    from benchmark.suite import Suite

DONE, FAILED, WRONG_CALL = 0, 1, 2
MANY = 8
"""So many names are listed in a message."""


def main(words: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 if everything asked for is there; 1 if runs failed, subjects were left out or a disk is
        full, what was finished is written; 2 for a call that cannot be done.
    """
    arguments = _parser().parse_args(words)
    try:
        return int(arguments.command(arguments))
    except KeyboardInterrupt:
        print("interrupted; finished runs are kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return DONE
    except Exception as error:
        from benchmark.results import full_disk, is_full

        if is_full(error):
            error = full_disk(Path(error.filename or "."))
        if not getattr(error, "for_user", False):
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return int(getattr(error, "status", WRONG_CALL))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="affectbench",
        description="An honest benchmark of emotion recognition from physiological signals.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="what there is to choose from")
    listing.add_argument("what", choices=["datasets", "models", "distillers", "splits", "suites"])
    listing.set_defaults(command=_list)

    data = commands.add_parser("data", help="look at recordings, make them up, fetch them")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="what is there, subject by subject")
    check.set_defaults(command=_data_check)
    check.add_argument("--subject", nargs="+", metavar="S", help="only these")
    check.add_argument("--cache", type=Path, default=Path("cache"), help="default: cache")
    check.add_argument(
        "--option",
        nargs="+",
        type=_option,
        default=[],
        metavar="NAME=VALUE",
        help="options of the dataset's reader",
    )
    synthesize = actions.add_parser(
        "synthesize", help="made-up recordings in the publisher's files and folders"
    )
    synthesize.set_defaults(command=_data_synthesize)
    synthesize.add_argument("--subjects", type=int, default=4, metavar="N", help="default: 4")
    synthesize.add_argument("--seed", type=int, default=0)
    synthesize.add_argument("--effect", type=_effect, default=1.0, help="0 plants none")
    download = actions.add_parser(
        "download", help="fetch a dataset that may be fetched without an agreement"
    )
    download.set_defaults(command=_data_download)
    for action in (check, synthesize, download):
        action.add_argument("dataset")
        action.add_argument("--root", type=Path, required=True, help="the dataset's own folder")

    run = commands.add_parser("run", help="do the runs of a suite that are not done yet")
    run.set_defaults(command=_run)
    run.add_argument("suite", help="name of a suite, or path of a .yaml file")
    run.add_argument("--data", type=Path, default=Path("data"), help="default: data")
    run.add_argument("--cache", type=Path, default=Path("cache"), help="default: cache")
    _add_places(run)
    choice = run.add_argument_group("part of the suite")
    for name in ("dataset", "task", "split", "model", "subject"):
        choice.add_argument(f"--{name}", nargs="+", metavar=name[0].upper(), help="only these")
    choice.add_argument("--signals", nargs="+", metavar="S", help="what models may choose from")
    choice.add_argument("--seeds", nargs="+", type=int, metavar="N", help="these seeds")
    choice.add_argument("--recipe", choices=["published", "fast"], help="of every model")
    choice.add_argument("--folds", type=int, metavar="K", help="folds of subject_k_fold")
    choice.add_argument("--effect", type=_effect, help="effect planted in synthetic data")
    how = run.add_argument_group("how")
    how.add_argument(
        "--devices",
        default="auto",
        help="cpu, or GPU numbers as in 0,1; auto: all GPUs, or the CPU if there are none",
    )
    how.add_argument(
        "--jobs-per-device",
        type=int,
        metavar="N",
        help="workers on each device; default: 1 a GPU, 1 a core on the CPU",
    )
    how.add_argument(
        "--timeout",
        type=_positive,
        metavar="MINUTES",
        help="kill a run that takes longer; default: none is",
    )
    how.add_argument(
        "--max-hours",
        type=_positive,
        metavar="H",
        help="start no run that would end later than that from now",
    )
    how.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="only the I-th of N parts of the runs; write no leaderboards",
    )
    how.add_argument("--logger", choices=["csv", "wandb", "tensorboard", "none"], default="csv")
    how.add_argument("--strict", action="store_true", help="stop at the first bad subject")
    how.add_argument("--retry-failed", action="store_true", help="do failed runs again")
    how.add_argument("--dry-run", action="store_true", help="say what would be done")

    predict = commands.add_parser("predict", help="use a trained model on new recordings")
    predict.set_defaults(command=_predict)
    predict.add_argument(
        "checkpoint",
        type=Path,
        help="model.ckpt of a finished run, or a folder with published Attention-LRCN weights",
    )
    predict.add_argument(
        "files",
        nargs="+",
        type=Path,
        help="session folders of an Empatica E4, SX/SX.pkl of WESAD, or with --dataset subjects",
    )
    predict.add_argument("--dataset", metavar="D", help="predict subjects of this dataset")
    predict.add_argument("--root", type=Path, help="where that dataset's files are")
    predict.add_argument("--out", type=Path, required=True, help="the CSV; plots go beside it")
    predict.add_argument(
        "--stride", type=float, default=10.0, help="seconds between windows; default: 10"
    )

    status = commands.add_parser("status", help="how far the latest call is")
    status.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    status.add_argument(
        "--timing", action="store_true", help="time of calls, and how much of it was inside runs"
    )
    status.set_defaults(command=_status)

    logs = commands.add_parser("logs", help="what a run said, and why it failed")
    logs.add_argument("run", help="its id, the beginning of it, or its folder")
    logs.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    logs.set_defaults(command=_logs)

    board = commands.add_parser("leaderboard", help="write the leaderboards anew")
    _add_places(board)
    board.set_defaults(command=_leaderboard)

    versus = commands.add_parser("compare", help="two models on every board that both are on")
    versus.set_defaults(command=_compare)
    for name in ("a", "b"):
        versus.add_argument(
            name, metavar=name.upper(), help="as on the rows: MODEL[@SIGNALS[@RECIPE]]"
        )
    versus.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    versus.add_argument("--runs-b", type=Path, metavar="RUNS", help="where B is; default: --runs")
    versus.add_argument("--board", nargs="+", default=[], metavar="B", help="only these")
    versus.add_argument("--format", choices=["md", "csv", "json"], default="md")
    versus.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw each subject's scores")
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    parser.add_argument(
        "--leaderboards", type=Path, default=Path("leaderboards"), help="default: leaderboards"
    )


def _option(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, found {text}")
    return name, value


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected more than 0, found {text}")
    return value


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, found {text}")
    return int(number), int(count)


def _effect(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, found {text}")
    return value


def _list(arguments: argparse.Namespace) -> int:
    if arguments.what == "suites":
        from benchmark.suite import SUITES, suite_names

        rows = [
            (name, (SUITES / f"{name}.yaml").read_text().splitlines()[0].lstrip("# "))
            for name in suite_names()
        ]
    elif arguments.what == "splits":
        from datamodules.splits import SPLITS

        rows = [(name, "") for name in SPLITS]
    elif arguments.what == "distillers":
        from lightning_modules import DISTILLERS

        rows = [(name, distiller.about) for name, distiller in DISTILLERS.items()]
    elif arguments.what == "datasets":
        from datamodules import DATAMODULES

        rows = [
            (name, f"{', '.join(module.tasks)}; {' '.join(module.signals)}; {module.access}")
            for name, module in DATAMODULES.items()
        ]
    else:
        from benchmark.probes import PROBES
        from lightning_modules import MODELS

        rows = [(name, _first_line(model.__doc__)) for name, model in MODELS.items()]
        rows += [(name, probe.about) for name, probe in PROBES.items()]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {about}".rstrip() for name, about in rows))
    return DONE


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


def _data_check(arguments: argparse.Namespace) -> int:
    import yaml

    from benchmark.check import check
    from benchmark.plan import left_out
    from benchmark.suite import known_names, reader_options
    from datamodules import DATAMODULES

    known_names([arguments.dataset], DATAMODULES, "dataset")
    module = DATAMODULES[arguments.dataset]
    asked = {name: yaml.safe_load(value) for name, value in arguments.option}
    options = dict(reader_options(module, asked))
    subjects = arguments.subject or ()
    found = check(arguments.dataset, arguments.root, arguments.cache, subjects, options)
    print(f"{module.title} in {arguments.root}\n")
    if len(found.signals):
        print(found.signals.to_string(index=False) + "\n")
    print(found.subjects.to_string(index=False) + "\n")
    for line in (*found.faults, *found.summary):
        print(line)
    for line in left_out(found.left_out):
        print(line, file=sys.stderr)
    return FAILED if found.left_out else DONE


def _data_synthesize(arguments: argparse.Namespace) -> int:
    from benchmark.data import synthesize
    from benchmark.suite import known_names
    from datamodules import DATAMODULES

    known_names([arguments.dataset], DATAMODULES, "dataset")
    written = synthesize(
        arguments.dataset, arguments.root, arguments.subjects, arguments.seed, arguments.effect
    )
    print(f"wrote {written} made-up subjects of {arguments.dataset} to {arguments.root}")
    return DONE


def _data_download(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from benchmark.download import download
    from benchmark.suite import known_names
    from datamodules import DATAMODULES

    known_names([arguments.dataset], DATAMODULES, "dataset")
    try:
        download(arguments.dataset, arguments.root, Console(stderr=True))
    except KeyboardInterrupt:
        print("interrupted; what came is kept, the same command goes on from it", file=sys.stderr)
        return 130
    print(f"{arguments.dataset} is in {arguments.root}, and is what is on record")
    return DONE


def _run(arguments: argparse.Namespace) -> int:
    called = time.time()
    from benchmark.runner import start_server

    start_server()  # its imports go on while this process does its own
    from benchmark.leaderboard import write_leaderboards
    from benchmark.plan import expand
    from benchmark.results import Call, Store
    from benchmark.runner import Finished, run_all
    from benchmark.schedule import Costs, estimate, ordered, shard
    from benchmark.suite import Suite
    from benchmark.train import Places

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
        store.save_call(Call(called, begun or now, now, workers, count, busy))
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
            _print_board(board)
    print(
        f"{len(boards)} board(s), overall.csv, comparisons.csv and runs.csv are in "
        f"{arguments.leaderboards}"
    )
    return _outcome(store, asked, n_left_out)


def _print_todo(todo: Sequence["Run"], cost: "Estimate", workers: int) -> None:
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


def _outcome(store: Any, runs: Sequence["Run"], n_left_out: int) -> int:
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


def _prepared(suite: "Suite", places: Any, strict: bool) -> dict[str, "Prepared"]:
    from benchmark.data import prepare
    from benchmark.plan import left_out
    from benchmark.suite import SuiteError, reader_options
    from datamodules import DATAMODULES

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
    import os

    import torch

    from benchmark.suite import SuiteError

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


def _predict(arguments: argparse.Namespace) -> int:
    from benchmark.predict import load_predictor, predict_files, predict_subjects
    from benchmark.run import BenchmarkError
    from benchmark.suite import known_names
    from datamodules import DATAMODULES

    if not arguments.stride > 0:
        raise BenchmarkError(f"expected a positive --stride, found {arguments.stride}")
    predictor = load_predictor(arguments.checkpoint)
    if predictor.subjects:
        print(f"trained on {', '.join(predictor.subjects)}: be sure that they are other people")
    if arguments.dataset:
        known_names([arguments.dataset], DATAMODULES, "dataset")
        subjects = [str(name) for name in arguments.files]
        written = predict_subjects(
            predictor, arguments.dataset, arguments.root, subjects, arguments.out, arguments.stride
        )
    else:
        written = predict_files(predictor, arguments.files, arguments.out, arguments.stride)
    for path in written:
        print(path)
    return DONE


def _status(arguments: argparse.Namespace) -> int:
    from benchmark.results import RESULT, Store
    from benchmark.run import BenchmarkError

    store = Store(arguments.runs)
    plan = store.plan()
    if not plan:
        raise BenchmarkError(
            f"no runs in {str(arguments.runs)!r}: expected the folder of an affectbench run; "
            "name it with --runs"
        )
    boards: dict[str, dict[str, int]] = {}
    for run in plan:
        counts = boards.setdefault(run.board, {"done": 0, "failed": 0, "open": 0})
        counts[store.status(run) or "open"] += 1
    for board, counts in boards.items():
        print(f"{board}: {', '.join(f'{count} {what}' for what, count in counts.items())}")
    if arguments.timing:
        _print_timing(store.calls())
    for path in store.conflicts():
        print(f"another result than {RESULT} beside it: {path}", file=sys.stderr)
    return FAILED if any(counts["failed"] for counts in boards.values()) else DONE


def _print_timing(calls: Sequence["Call"]) -> None:
    for call in calls:
        wall = call.ended - call.begun
        print(
            f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(call.started))}: "
            f"{call.runs} runs on {call.workers} worker(s) in {wall:.1f} s, "
            f"{call.begun - call.started:.1f} s after the call; "
            f"{call.busy:.1f} s inside runs, {_overhead([call])}"
        )
    if len(calls) > 1:
        print(
            f"{sum(call.runs for call in calls)} runs in {len(calls)} call(s): {_overhead(calls)}"
        )


def _overhead(calls: Sequence["Call"]) -> str:
    """Share of the workers' time that was not inside runs, from the first run on and in all."""
    busy = sum(call.busy for call in calls)
    running = sum((call.ended - call.begun) * call.workers for call in calls)
    whole = sum((call.ended - call.started) * call.workers for call in calls)
    shares = [100 * (1 - busy / wall) if wall else 0.0 for wall in (running, whole)]
    return f"overhead {shares[0]:.1f} %, with the start {shares[1]:.1f} %"


def _logs(arguments: argparse.Namespace) -> int:
    import json

    from benchmark.results import RESULT, Store
    from benchmark.run import BenchmarkError, Result

    found = Store(arguments.runs).find(arguments.run)
    if not found:
        raise BenchmarkError(
            f"no run {arguments.run!r} has ended in {str(arguments.runs)!r}: expected its id, the "
            "beginning of it, or its folder; name where runs are with --runs"
        )
    if len(found) > 1:
        names = ", ".join(path.name.rpartition("-")[2] for path in found[:MANY])
        raise BenchmarkError(
            f"expected one run, found {len(found)} runs whose id begins with {arguments.run!r}: "
            f"{names}{', ...' if len(found) > MANY else ''}. Give more of the id"
        )
    (folder,) = found
    result = Result.from_dict(json.loads((folder / RESULT).read_text()))
    print(f"{result.run.label}: {result.status}")
    log = folder / "log.txt"
    print(log.read_text().rstrip() if log.is_file() else "no log: it said nothing")
    if result.status == "failed":
        print("\n".join(part for part in ("", result.error, result.traceback.rstrip()) if part))
    return DONE


def _leaderboard(arguments: argparse.Namespace) -> int:
    from benchmark.leaderboard import write_leaderboards

    boards = write_leaderboards(_with_results(arguments.runs), arguments.leaderboards)
    for board in boards:
        _print_board(board)
    print(
        f"{len(boards)} board(s), overall.csv, comparisons.csv and runs.csv are in "
        f"{arguments.leaderboards}"
    )
    return DONE


def _compare(arguments: argparse.Namespace) -> int:
    from benchmark.results import write_text
    from benchmark.versus import matches, render
    from benchmark.versus_plot import plot

    store = _with_results(arguments.runs)
    other = _with_results(arguments.runs_b) if arguments.runs_b else None
    found = matches(arguments.a, arguments.b, store, other, arguments.board)
    if arguments.plot:
        write_text(arguments.plot, plot(found))
    print(render(found, arguments.format), end="")
    return DONE


def _with_results(runs: Path) -> "Store":
    from benchmark.results import Store
    from benchmark.rows import LeaderboardError

    store = Store(runs)
    if next(store.results(), None) is None:
        raise LeaderboardError(
            f"no results in {str(runs)!r}: expected the folder of an affectbench run; "
            "name it with --runs"
        )
    return store


def _print_board(board: "Board") -> None:
    columns = {
        "tie_group": "tie",
        "model": "model",
        "signals": "signals",
        "macro_f1": "macro F1",
        "ci_low": "low",
        "ci_high": "high",
        "balanced_accuracy": "bal. acc.",
        "balanced_low": "low ",
        "balanced_high": "high ",
        "delta_majority": "over majority",
        "p_holm": "p, simple",
        "train_seconds": "train s",
        "n_runs": "runs",
        "n_failed": "failed",
    }
    print()
    for line in board.head:
        print(line)
    shown = board.table.reindex(columns=list(columns)).rename(columns=columns)
    print(shown.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.3f}"))
    print()


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
