"""What a call shows while it goes on: on a terminal a view, else lines."""

import io
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from benchmark.engines import live
from benchmark.engines.devices import Memory
from benchmark.engines.event import Finished
from benchmark.engines.live import Progress, Shown, duration
from benchmark.plan.order import Costs
from benchmark.run import Run
from datamodules.protocol import Protocol


def run(model: str, fold: int, dataset: str = "d") -> Run:
    return Run(
        dataset, "stress", Protocol("subject_k_fold"), fold, 0, model, ("eda",), ("S1",), "x"
    )


def drawn(progress: Progress, height: int = 30, width: int = 120, **memory: Memory) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(progress.view(height, memory))
    return console.file.getvalue().splitlines()


def progress_of(
    *runs: Run, done: int = 0, workers: int = 2, costs: Costs | None = None
) -> Progress:
    statuses = {run.id: "done" if place < done else None for place, run in enumerate(runs)}
    return Progress(runs, runs[done:], statuses, costs or Costs(), workers)


def test_boards_count_what_is_done_running_failed_and_open():
    runs = [run("cnn", fold) for fold in range(7)] + [run("lda", 0, "other")]
    progress = progress_of(*runs, done=1)
    progress.watch(0, "cpu", runs[1])
    progress.finished(Finished(runs[1], "done", "", 0.5, 1.0, 1.0))
    progress.watch(0, "cpu", runs[2])
    progress.finished(Finished(runs[2], "failed", "ValueError: no", None, 1.0, 1.0))
    progress.watch(0, "cpu", runs[3])
    progress.watch(1, "cpu", runs[4])
    lines = drawn(progress)
    counts = {line.split()[0]: list(map(int, line.split()[1:5])) for line in lines[1:3]}
    assert counts == {
        "d__stress__subject_5_fold": [2, 2, 1, 2],
        "other__stress__subject_5_fold": [0, 0, 0, 1],
    }
    text = "\n".join(lines)
    assert re.search(r"1 +cpu +cnn fold 3 seed 0 +d__stress", text)
    assert f"{runs[2].id}  cnn fold 2 seed 0: ValueError: no" in text
    assert "2 of 7 runs, 1 failed" in text
    progress.watch(1, "cpu", None)
    assert "cnn fold 4" not in "\n".join(drawn(progress))


def test_time_left_is_what_finished_runs_of_the_kind_took():
    costs = Costs()
    costs.add(run("cnn", 9), 10.0)
    runs = [*(run("cnn", fold) for fold in range(3)), run("lda", 0)]
    progress = progress_of(*runs, costs=costs)
    # 3 of 10 s, and one that counts as their mean, on two workers
    assert progress.seconds_left() == pytest.approx(4 * 10 / 2)
    costs.add(run("lda", 9), 2.0)
    assert progress.seconds_left() == pytest.approx((3 * 10 + 2) / 2)
    # a worker spends half as much again on what is not preparing, training and predicting
    progress.finished(Finished(runs[0], "done", "", 0.5, 10.0, 15.0))
    assert progress.seconds_left() == pytest.approx((2 * 10 + 2) * 1.5 / 2)
    progress.watch(0, "cpu", runs[1])
    progress.slots[0].since = time.monotonic() - 6
    assert progress.seconds_left() == pytest.approx(((2 * 10 + 2) * 1.5 - 6) / 2, abs=0.5)
    for left in runs[1:]:
        progress.finished(Finished(left, "done", "", 0.5, 1.0, 1.0))
    assert progress.seconds_left() == 0


def test_time_left_is_unknown_before_any_run_has_ended():
    progress = progress_of(run("cnn", 0), run("cnn", 1))
    assert progress.seconds_left() is None
    assert duration(progress.seconds_left()) == "unknown"
    progress.finished(Finished(run("cnn", 0), "failed", "e", None, 4.0, 4.0))
    assert progress.seconds_left() == pytest.approx(4.0)


@pytest.mark.parametrize("height", [12, 24, 60])
def test_view_has_room(height):
    runs = [run("cnn", fold, f"set{number}") for number in range(40) for fold in range(2)]
    progress = progress_of(*runs, workers=64)
    for number, begun in enumerate(runs[:64]):
        progress.watch(number, "0", begun)
    for failed in runs[64:]:
        progress.finished(Finished(failed, "failed", "e", None, 1.0, 1.0))
    lines = drawn(progress, height, **{"0": Memory(3 * 2**29, 80 * 2**30)})
    assert len(lines) <= max(height, live.OTHER_LINES + 2)
    boards = [line for line in lines if re.match(r"set\d+__|\d+ more", line)]
    counts = np.array([re.findall(r"(?<= )\d+(?= )", f"{line} ")[:4] for line in boards], int)
    assert counts.sum(axis=0).tolist() == [0, 64, 16, 0]
    assert "GPU 0: 1.5 of 80 GiB" in lines[-1]


def test_lines_without_a_terminal(capsys):
    progress = progress_of(run("cnn", 0), run("cnn", 1))
    shown = Shown(progress, ["cpu"], Console(file=io.StringIO()))
    with shown.shown() as output:
        assert output is None
        event = Finished(run("cnn", 0), "done", "", 0.5, 1.0, 1.0)
        progress.finished(event)
        shown.finished(event)
    (line,) = capsys.readouterr().out.splitlines()
    expected = "[1/2] d__stress__subject_5_fold cnn fold 0 seed 0: done, macro F1 0.500, 1.0 s;"
    assert line.startswith(expected)


def test_what_workers_say_comes_above_the_view():
    progress = progress_of(run("cnn", 0))
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, height=30, color_system=None)
    shown = Shown(progress, ["cpu"], console)
    said = ["a first [line]", "é" * 150, "the last"]
    with shown.shown() as output:
        words = f"import os; os.write(1, {chr(10).join(said)!r}.encode())"
        subprocess.run([sys.executable, "-c", words], stdout=output.fileno(), check=True)
        print("from the runner")
    # a carriage return and an erased line come before what is written over the view
    lines = re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", file.getvalue().replace("\r", "\n")).splitlines()
    for sentence in [*said, "from the runner"]:
        assert sentence in lines
    assert lines[-1].startswith("0 of 1 runs")
    assert "\x1b[?25h" in file.getvalue()  # the cursor is back
