"""A recording that grows, against the predictions of the run and those of the whole recording."""

import csv
import io
import os
import signal as signals
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from benchmark.cli.main import main
from benchmark.errors import BenchmarkError
from benchmark.execution.checkpoint import load_predictor, run_of
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.execution.predictor import Predictor
from benchmark.plan.expand import expand
from benchmark.plan.suite import Suite
from benchmark.predict.follow import AnswerFile, Follower, Way, causal_ways, lines_of, session_of
from benchmark.recordings.prepare import prepare
from benchmark.store import Store
from datamodules.batch import SignalSpec
from datamodules.formats.empatica import FILES, SIGNALS, read_session
from datamodules.formats.empatica_growing import GrowingSession
from datamodules.formats.growing import Piece
from datamodules.signals.running import RunningSteps
from datamodules.synthesis import empatica_e4
from tests.datamodules.formats.growing import Copy

CAUSAL = ("cnn", "minirocket", "tangent_space")
OFFLINE = "random_forest"
"""It takes heart beats and parts of skin conductance, which look ahead."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Runs on made-up E4 sessions, and where the sessions are."""
    root = tmp_path_factory.mktemp("follow")
    data = root / "data" / "empatica_e4"
    empatica_e4.write(data, n_subjects=3, seed=0, effect=1.0, minutes=2.0)
    suite = Suite(
        "follow",
        ("empatica_e4",),
        models=(*CAUSAL, OFFLINE),
        signals=("bvp", "eda", "temp", "acc"),
        recipes={"cnn": {"max_epochs": 1}},
        arguments={"minirocket": {"n_features": 168}},
    )
    prepared = {"empatica_e4": prepare("empatica_e4", data, root / "cache", {}, ())}
    runs = [run for run in expand(suite, prepared).runs if run.fold == 0]
    places = Places(root / "data", root / "cache", root / "runs")
    assert all(execute(run, places).status == "done" for run in runs)
    store = Store(places.runs)
    return data, {run.model: (store.folder(run), store.predictions(run)) for run in runs}


@pytest.fixture
def of_cnn(finished):
    data, runs = finished
    folder, expected = runs["cnn"]
    return data / str(expected["subject"][0]), folder, expected


@pytest.mark.parametrize("model", CAUSAL)
def test_a_growing_recording_gets_the_probabilities_of_the_run(finished, model, tmp_path):
    """Networks compute in float32, whose last bits depend on how many windows are in a batch."""
    data, runs = finished
    folder, expected = runs[model]
    session = data / str(expected["subject"][0])
    predictor = load_predictor(folder)
    ways = causal_ways(predictor, run_of(folder))
    copy = Copy(session, tmp_path / "copy", tuple(FILES.values()), 1, 1500)
    growing = GrowingSession(tmp_path / "copy", tuple({w.recorded for w in ways.values()}), 3, copy)
    answers = {answer.start: answer for answer in Follower(predictor, ways, growing, 5.0)}
    assert growing.start == read_session(session).start
    for start, probabilities in zip(expected["start"], expected["probabilities"], strict=True):
        np.testing.assert_allclose(answers[start].probabilities, probabilities, atol=1e-6)
    assert len(expected["start"]) > 2
    assert np.ptp(expected["probabilities"][:, 1]) > 1e-3


def test_the_command_says_what_predict_says_of_the_whole(of_cnn, tmp_path, capsys):
    session, folder, _ = of_cnn
    out, whole = tmp_path / "new" / "live.csv", tmp_path / "whole.csv"
    words = ["predict", str(folder), str(session), "--stride", "5", "--out"]
    assert main([*words, str(whole)]) == 0
    capsys.readouterr()
    assert main([*words, str(out), "--follow", "--idle", "0"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f": {len(pd.read_csv(out))} windows; latency " in printed.err.splitlines()[-1]
    live, expected = pd.read_csv(out), pd.read_csv(whole)
    assert [*live] == [*expected.columns[1:-1], "latency_ms", "doubts"]
    columns = ["start", "predicted", "p_no_stress", "p_stress"]
    pd.testing.assert_frame_equal(live[columns], expected[columns], atol=1e-4)
    assert live["time"].str.replace(".000", "").tolist() == expected["time"].tolist()
    assert (live["latency_ms"] > 0).all()
    pd.testing.assert_series_equal(live["doubts"], expected["doubts"])


def test_windows_begin_where_they_are_asked_to(of_cnn, capsys):
    session, folder, _ = of_cnn
    words = ["predict", str(folder), "--follow", str(session), "--idle", "0", "--stride"]
    tables = []
    for more in (["20", "--start", "7"], ["1"]):
        assert main([*words, *more]) == 0
        tables.append(pd.read_csv(io.StringIO(capsys.readouterr().out)).set_index("start"))
    late, every = tables
    assert late.index.tolist() == [start for start in every.index if start % 20 == 7]
    pd.testing.assert_series_equal(late["p_stress"], every["p_stress"][late.index], atol=1e-5)


def as_lines(session: Path) -> str:
    """Return a session as lines of samples, in order of time."""
    rows = []
    for name, (_, sfreq) in SIGNALS.items():
        start, _, *samples = (session / FILES[name]).read_text().split()
        if name in ("bvp", "eda", "temp"):
            begin = float(start)
            rows += [(begin + n / sfreq, name, value) for n, value in enumerate(samples)]
    return "".join(f"{name},{time:.6f},{value}\n" for time, name, value in sorted(rows))


def _as_on_a_terminal() -> None:
    """Let Ctrl-C end the process even where the tests run behind ``&``."""
    signals.signal(signals.SIGINT, signals.SIG_DFL)


def test_standard_input_is_answered_line_by_line_and_as_the_folder(of_cnn, tmp_path):
    """Each answer is there before anything that comes after its window is sent."""
    session, folder, _ = of_cnn
    out = tmp_path / "folder.csv"
    words = ["predict", str(folder), "--follow", "--stride", "20"]
    assert main([*words, str(session), "--idle", "0", "--out", str(out)]) == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    zero = read_session(session).start
    window = load_predictor(folder).window
    lines = as_lines(session).splitlines(keepends=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark.cli", *words, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=_as_on_a_terminal,
    )
    assert process.stdin
    assert process.stdout
    header = process.stdout.readline().strip().split(",")
    sent = 0
    for row in rows[1:4]:  # in the first 5 s a folder's start-up is replaced, of lines nothing is
        end = zero + float(row["start"]) + window
        while float(lines[sent].split(",")[1]) < end - 1e-6:
            process.stdin.write(lines[sent])
            sent += 1
        process.stdin.flush()
        found: dict[str, str] = {}
        while found.get("start") != row["start"]:
            found = dict(zip(header, process.stdout.readline().strip().split(","), strict=True))
        assert found["time"] == row["time"]
        assert float(found["p_stress"]) == pytest.approx(float(row["p_stress"]), abs=1e-5)
    process.send_signal(signals.SIGINT)
    process.wait(timeout=60)  # its input is closed after this alone
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said.splitlines()[-1].startswith("stopped: 4 windows; latency ")


@pytest.mark.parametrize("place", ["-", "no_such_folder"])
def test_a_model_that_looks_ahead_is_refused_before_anything_is_read(finished, place, capsys):
    _, runs = finished
    folder, _ = runs[OFFLINE]
    assert main(["predict", str(folder), "--follow", place]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "bvp_beats" in line
    assert "no others than bvp, eda, temp, acc" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "b", "--follow"], "found 2 files"),
        (["a", "--follow", "--dataset", "deap"], "found --dataset"),
        (["-", "--follow", "--idle", "3"], "--idle: expected a folder"),
        (["a", "--idle", "3", "--out", "p.csv"], "with --follow alone"),
        (["a"], "expected --out FILE"),
        (["no_such_folder", "--follow"], "no folder 'no_such_folder'"),
        ([".", "--follow", "--stride", "0"], "expected a stride of at least"),
    ],
)
def test_a_call_that_cannot_be_is_one_line(of_cnn, words, said, capsys):
    _, folder, _ = of_cnn
    assert main(["predict", str(folder), *words]) == 2
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if not line.startswith("trained on")
    ]
    assert said in line


def test_a_recording_without_a_window_and_a_broken_one_end_with_one_line(of_cnn, tmp_path, capsys):
    session, folder, _ = of_cnn
    for name in FILES.values():
        lines = (session / name).read_text().splitlines(keepends=True)
        (tmp_path / name).write_text("".join(lines[:200]))
    words = ["predict", str(folder), "--follow", str(tmp_path), "--idle", "0"]
    assert main(words) == 2
    assert "expected a recording of at least" in capsys.readouterr().err.splitlines()[-1]
    with (tmp_path / "BVP.csv").open("a") as file:
        file.write("broken\n")
    assert main(words) == 2
    assert "BVP.csv: expected" in capsys.readouterr().err.splitlines()[-1]


# ---- by hand


class Level(Predictor):
    """Probability 0.9 of the second class where the mean of a window is above 3."""

    def probabilities(self, windows: Mapping[str, Tensor]) -> np.ndarray:
        second = (next(iter(windows.values())).mean(dim=(1, 2)) > 3).double().numpy() * 0.8 + 0.1
        return np.column_stack([1 - second, second])


class Given:
    """A source that gives pieces, and says what it was asked for."""

    start = 0.0

    def __init__(self, *pieces: dict[str, np.ndarray]) -> None:
        self._pieces = iter(pieces)
        self.asked: list[set[str]] = []

    def read(self, needed) -> Piece | None:
        self.asked.append(set(needed))
        samples = next(self._pieces, None)
        return None if samples is None else Piece(0.0, samples)


def level(**inputs: SignalSpec) -> Level:
    return Level("level", inputs, ("low", "high"))


def ways(predictor: Predictor) -> dict[str, Way]:
    return {n: Way(n, RunningSteps((), s.sfreq)) for n, s in predictor.inputs.items()}


def constant(value: float, n_times: int) -> np.ndarray:
    return np.full((1, n_times), value, np.float32)


def test_a_window_is_answered_with_its_last_sample_and_not_before():
    model = level(eda=SignalSpec(1, 8, 4.0), bvp=SignalSpec(1, 16, 8.0))
    source = Given(
        {"eda": constant(1, 8), "bvp": constant(1, 15)},
        {"bvp": constant(1, 1)},
        {"eda": constant(5, 7), "bvp": constant(1, 40)},
        {"eda": constant(5, 1)},
    )
    follower = Follower(model, ways(model), source, 2.0)
    found = []
    for answer in follower:
        found.append((answer.start, float(answer.probabilities[1]), len(source.asked)))
    assert found == [(0.0, pytest.approx(0.1), 2), (2.0, pytest.approx(0.9), 4)]
    assert source.asked == [{"eda", "bvp"}, {"bvp"}, {"eda", "bvp"}, {"eda"}, {"eda"}]


def test_no_more_is_kept_than_windows_need():
    model = level(eda=SignalSpec(1, 8, 4.0))
    source = Given(*({"eda": constant(1, 10)} for _ in range(100)))
    follower = Follower(model, ways(model), source, 10.0, first=3.0)
    starts = []
    for answer in follower:
        starts.append(answer.start)
        assert follower._tails["eda"]._samples.shape[1] <= 20
    assert starts == [3.0 + 10 * number for number in range(25) if 3 + 10 * number + 2 <= 250]


def test_a_missing_sample_has_no_prediction_and_a_word():
    model = level(eda=SignalSpec(1, 4, 4.0))
    samples = constant(5, 12)
    samples[0, 5] = np.nan
    file = io.StringIO()
    answers = AnswerFile(file, model)
    follower = Follower(model, ways(model), Given({"eda": samples}), 1.0)
    for answer in follower:
        answers.write(answer, 1700000000.25)
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [row["predicted"] for row in rows] == ["high", "", "high"]
    assert [row["p_high"] for row in rows] == ["0.900000", "", "0.900000"]
    assert rows[1]["doubts"].startswith("eda missing")
    assert rows[1]["time"] == "2023-11-14T22:13:21.250Z"
    assert "eda: missing in 33 % of the windows" in follower.doubts.lines()


def test_other_channels_than_the_models_are_refused():
    model = level(acc=SignalSpec(3, 4, 4.0))
    stream = io.BytesIO(b"acc,0,1,2\n")
    with pytest.raises(BenchmarkError, match=r"acc with 3 channel\(s\), found 2"):
        list(Follower(model, ways(model), lines_of(ways(model), stream), 1.0))


def test_signals_that_a_wristband_does_not_have_are_refused(tmp_path):
    model = level(eeg=SignalSpec(19, 1000, 500.0))
    with pytest.raises(BenchmarkError, match=r"eeg with 19 channel\(s\) @ 500 Hz, found none"):
        session_of(model, ways(model), tmp_path, 1.0)


def test_published_weights_take_the_signals_as_recorded():
    model = level(bvp=SignalSpec(1, 64, 64.0))
    assert {name: way.recorded for name, way in causal_ways(model, None).items()} == {"bvp": "bvp"}


def test_a_window_is_a_copy_in_one_piece():
    model = level(eda=SignalSpec(1, 8, 4.0))
    seen: list[Tensor] = []

    class Keeping(Level):
        def probabilities(self, windows: Mapping[str, Tensor]) -> np.ndarray:
            seen.append(windows["eda"])
            return super().probabilities(windows)

    model = Keeping("keeping", model.inputs, model.classes)
    ramp = np.arange(24, dtype=np.float32)[None]
    list(Follower(model, ways(model), Given({"eda": ramp[:, :11]}, {"eda": ramp[:, 11:]}), 1.0))
    for number, window in enumerate(seen):
        expected = torch.arange(8, dtype=torch.float32)[None, None] + 4 * number
        torch.testing.assert_close(window, expected, rtol=0, atol=0)
    assert len(seen) == 5
