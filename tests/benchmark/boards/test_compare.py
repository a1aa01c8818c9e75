"""One model against another: by hand, through the command, and what the picture holds."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from benchmark.boards.cohort import LeaderboardError
from benchmark.boards.compare import matches, render, table
from benchmark.cli.main import main
from benchmark.drawing import DENSITY
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.store import Store
from datamodules.protocol import VERSION, Protocol
from lightning_modules.metrics import SCORES
from tests.benchmark.made_up import stored

N = 9
SUBJECTS = tuple(f"S{i:02d}" for i in range(N))
BOARDS = ["deap__stress__leave_one_subject_out", "wesad__stress__leave_one_subject_out"]


def put(folder: Path, dataset: str, model: str, scores, units: str = "", **fields) -> None:
    """Results of a model, one a subject."""
    for fold, score in enumerate(scores):
        values = {"signals": ("eda",), "subjects": SUBJECTS, "data": "a" * 16, **fields}
        protocol = values.pop("protocol", Protocol())
        run = Run(dataset, "stress", protocol, fold, 0, model, **values)
        subject = SUBJECTS[fold]
        result = Scored(
            run,
            "done",
            scores={subject: dict.fromkeys(SCORES, float(score))},
            n_units={subject: 4},
            units={subject: units or subject},
            confusion={subject: [[1, 1], [1, 1]]},
            seconds={"train": 1.0},
        )
        stored(folder, [result])


@pytest.fixture(scope="module")
def scores() -> dict[tuple[str, str], np.ndarray]:
    rng = np.random.default_rng(0)
    keys = [(dataset, model) for dataset in ("wesad", "deap") for model in ("cnn", "lda")]
    return {key: rng.random(N) for key in keys}


@pytest.fixture(scope="module")
def runs(scores, tmp_path_factory) -> Path:
    """Two boards with both models, one with one. Not to be written to."""
    folder = tmp_path_factory.mktemp("runs")
    for (dataset, model), values in scores.items():
        put(folder, dataset, model, values)
    put(folder, "amigos", "cnn", np.full(N, 0.5))
    return folder


def flips(differences: np.ndarray) -> float:
    """p-value of the mean over all flips of signs."""
    found = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    return float(found.pvalue)


def test_every_board_that_both_are_on(runs, scores):
    lines = table(matches("cnn", "lda", Store(runs)))
    assert lines["board"].tolist() == BOARDS
    p = {}
    for line, dataset in zip(lines.to_dict("records"), ("deap", "wesad"), strict=True):
        a, b = scores[dataset, "cnn"], scores[dataset, "lda"]
        low, high = stats.t.interval(0.95, N - 1, (a - b).mean(), stats.sem(a - b))
        p[dataset] = flips(a - b)
        expected = {
            "a_macro_f1": a.mean(),
            "b_macro_f1": b.mean(),
            "difference": (a - b).mean(),
            "low": low,
            "high": high,
            "median_difference": np.median(a - b),
            "p": p[dataset],
            "won": (a > b).sum(),
            "lost": (a < b).sum(),
            "n_subjects": N,
        }
        for name, value in expected.items():
            assert line[name] == pytest.approx(value), name
    smaller, larger = sorted(p.values())
    assert sorted(lines["p_holm"]) == pytest.approx(
        [min(1, 2 * smaller), max(min(1, 2 * smaller), larger)]
    )


def test_the_other_way_round_is_the_opposite(runs):
    there, back = (table(matches(*pair, Store(runs))) for pair in (("cnn", "lda"), ("lda", "cnn")))
    assert there["difference"].tolist() == pytest.approx((-back["difference"]).tolist())
    assert there["rank_biserial"].tolist() == pytest.approx((-back["rank_biserial"]).tolist())
    assert there["p"].tolist() == back["p"].tolist()
    assert there["won"].tolist() == back["lost"].tolist()


def test_csv_and_json_hold_the_same(runs, scores):
    found = matches("cnn", "lda", Store(runs))
    lines = pd.read_csv(StringIO(render(found, "csv")))
    records = json.loads(render(found, "json"))
    assert lines["board"].tolist() == [record["board"] for record in records] == BOARDS
    for name in ("difference", "p", "p_holm", "low", "rank_biserial"):
        assert lines[name].tolist() == pytest.approx([r[name] for r in records], rel=1e-3)
    by_subject = {s: (v["a"], v["b"]) for s, v in records[1]["subjects"].items()}
    pairs = zip(scores["wesad", "cnn"], scores["wesad", "lda"], strict=True)
    assert by_subject == dict(zip(SUBJECTS, pairs, strict=True))


def test_markdown_is_a_table(runs):
    text = render(matches("cnn", "lda", Store(runs)), "md").splitlines()
    rows = [line for line in text if line.startswith("|")]
    assert len(rows) == 4
    assert len({row.count("|") for row in rows}) == 1
    assert text[0].startswith("A: cnn, B: lda.")


def test_results_of_two_suites(runs, scores, tmp_path):
    better = np.minimum(scores["wesad", "cnn"] + 0.1, 1.0)
    put(tmp_path, "wesad", "cnn", better, data="b" * 16)
    (found,) = matches("cnn", "cnn", Store(runs), Store(tmp_path))
    expected = (scores["wesad", "cnn"] - better).mean()
    assert found.pair.comparison.difference == pytest.approx(expected)
    assert found.notes == (f"data differ: {'a' * 16} and {'b' * 16}",)
    assert "data differ" in render([found], "md")


def test_another_version_of_the_protocol_is_noted_by_its_number(runs, scores, tmp_path):
    protocol = Protocol(version=VERSION + 1)
    put(tmp_path, "wesad", "cnn", scores["wesad", "cnn"], protocol=protocol)
    (match,) = matches("cnn", "cnn", Store(runs), Store(tmp_path))
    assert match.notes == (f"protocol differ: {VERSION} and {VERSION + 1}",)


def test_every_row_of_a_suite_with_its_counterpart(runs, scores, tmp_path, capsys):
    rng = np.random.default_rng(1)
    theirs = {key: rng.random(N) for key in scores}
    for (dataset, model), values in theirs.items():
        kind = {"kind": "fast"} if model == "lda" else {}
        put(tmp_path, dataset, model, values, **kind)
    put(tmp_path, "wesad", "lstm", np.full(N, 0.5))  # has no counterpart
    words = ["compare", str(runs), str(tmp_path), "--plot", str(tmp_path / "both.svg")]
    assert main([*words, "--format", "csv"]) == 0
    lines = pd.read_csv(StringIO(capsys.readouterr().out))
    keys = [(b.split("__")[0], a.split("@")[0]) for b, a in lines[["board", "a"]].to_numpy()]
    assert sorted(keys) == sorted(scores)
    assert lines["b"].str.endswith("@fast").tolist() == [model == "lda" for _, model in keys]
    p = {key: stats.wilcoxon(scores[key] - theirs[key], method="exact").pvalue for key in keys}
    reached, corrected = 0.0, {}
    for step, key in enumerate(sorted(p, key=lambda key: p[key])):
        reached = corrected[key] = max(reached, min(1.0, (4 - step) * p[key]))
    for key, line in zip(keys, lines.to_dict("records"), strict=True):
        assert line["difference"] == pytest.approx((scores[key] - theirs[key]).mean(), rel=1e-3)
        assert line["won"] == (scores[key] > theirs[key]).sum()
        assert line["p_holm"] == pytest.approx(corrected[key], rel=1e-3)
    panels = ElementTree.parse(tmp_path / "both.svg").getroot().findall("{*}g")
    heads = [[text.text for text in panel.findall("{*}text")][:2] for panel in panels]
    assert heads == [[b, a.split("@")[0]] for b, a in lines[["board", "a"]].to_numpy()]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"A: {runs}, B: {tmp_path}.")
    assert f"| {BOARDS[1]} lda |" in text


def test_suites_without_a_common_row_are_refused(runs, tmp_path, capsys):
    put(tmp_path, "wesad", "lstm", np.full(N, 0.5))
    assert main(["compare", str(runs), str(tmp_path)]) == 2
    assert "expected a board with scores of one model in both" in capsys.readouterr().err


def test_rows_of_one_name_are_told_apart(tmp_path):
    put(tmp_path, "wesad", "cnn", np.full(N, 0.5))
    put(tmp_path, "wesad", "cnn", np.full(N, 0.7), signals=("eda", "bvp"))
    put(tmp_path, "wesad", "lda", np.full(N, 0.4))
    with pytest.raises(LeaderboardError, match="'cnn' to be one row") as caught:
        matches("cnn", "lda", Store(tmp_path))
    assert "'cnn@eda+bvp@published'" in str(caught.value)
    for name, value in (("cnn@eda+bvp@published", 0.3), ("cnn@eda", 0.1)):
        (found,) = matches(name, "lda", Store(tmp_path))
        assert found.pair.comparison.difference == pytest.approx(value)


def test_incomplete_row_is_compared_where_it_can_be(tmp_path):
    put(tmp_path, "wesad", "cnn", np.full(N - 2, 0.5))
    put(tmp_path, "wesad", "lda", np.linspace(0, 1, N))
    (found,) = matches("cnn", "lda", Store(tmp_path))
    assert found.pair.comparison.n == N - 2
    assert found.pair.comparison.difference == pytest.approx(0.5 - np.linspace(0, 1, N)[:-2].mean())
    assert found.notes == (f"cnn is incomplete: it lacks 2 of {N} scores",)


def test_other_units_are_refused(tmp_path, runs):
    put(tmp_path, "wesad", "lda", np.full(N, 0.5), units="other")
    with pytest.raises(LeaderboardError, match="same units"):
        matches("cnn", "lda", Store(runs), Store(tmp_path))


# --- the command


@pytest.mark.parametrize("form", ["md", "csv", "json"])
def test_command(runs, capsys, form):
    words = ["compare", "cnn", "lda", "--runs", str(runs), "--board", BOARDS[1], "--format", form]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert text == render(matches("cnn", "lda", Store(runs), boards=[BOARDS[1]]), form)
    assert BOARDS[1] in text
    assert BOARDS[0] not in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["cnn", "cnnn"], ["no board", "'cnnn'", "cnn, lda"]),
        (["cnn", "lda", "--board", "wesad"], ["'wesad'", *BOARDS]),
        (["cnn", "lda", "--runs-b", "nowhere"], ["no results in 'nowhere'"]),
    ],
)
def test_what_is_not_there_is_said(runs, capsys, words, expected):
    assert main(["compare", *words, "--runs", str(runs)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    for part in expected:
        assert part in told.err


def test_picture_has_every_subject(runs, scores, tmp_path, capsys):
    path = tmp_path / "plots" / "both.svg"
    assert main(["compare", "cnn", "lda", "--runs", str(runs), "--plot", str(path)]) == 0
    root = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    panels = root.findall(f"{space}g")
    assert len(panels) == 2
    for panel, dataset in zip(panels, ("deap", "wesad"), strict=True):
        dots = sorted(float(dot.get("cx")) for dot in panel.findall(f"{space}circle"))
        x = sorted(scores[dataset, "cnn"])
        assert np.polyfit(x, dots, 1, full=True)[1] == pytest.approx(0, abs=1e-3)  # a line
        squares = sorted(float(square.get("x")) for square in panel.findall(f"{space}rect"))
        assert np.corrcoef(squares, sorted(scores[dataset, "lda"]))[0, 1] == pytest.approx(1)
        words = [text.text for text in panel.findall(f"{space}text")]
        a_less_b = scores[dataset, "cnn"] - scores[dataset, "lda"]
        assert [w for w in words if w in SUBJECTS] == [SUBJECTS[i] for i in np.argsort(-a_less_b)]
    width, height = float(root.get("width")), float(root.get("height"))
    assert width < 1000
    assert height < 400


def test_picture_is_drawn_in_both_formats(runs, tmp_path, capsys):
    paths = [tmp_path / f"both{suffix}" for suffix in (".svg", ".png")]
    words = ["compare", "cnn", "lda", "--runs", str(runs), "--plot"]
    assert main([*words, *map(str, paths)]) == 0
    vector, pixels = ElementTree.parse(paths[0]).getroot(), Image.open(paths[1])
    sides = [float(vector.get(side)) for side in ("width", "height")]
    assert pixels.size == pytest.approx([DENSITY * side for side in sides], abs=1)
    assert len(pixels.convert("RGB").getcolors(10**6)) > 20
    with pytest.raises(SystemExit):
        main([*words, "both.pdf"])
    assert "ends in .svg or .png" in capsys.readouterr().err


def test_needs_no_torch():
    code = "import sys, benchmark.boards.compare_plot; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
