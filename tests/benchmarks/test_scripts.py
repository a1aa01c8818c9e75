"""Scripts that are run by hand: all of them can be imported, and boards of made-up results too."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

from benchmark.cli.main import main
from tests.benchmarks import boards

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
SCRIPTS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if not path.stem.startswith("test_")
)


def test_scripts_can_be_imported():
    """In a process of its own, as some change the catalogues."""
    assert len(SCRIPTS) > 10
    code = f"import importlib\nfor name in {SCRIPTS}:\n    importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_made_up_results_give_a_board(tmp_path):
    models = boards.MODELS[:4]
    assert boards.write(tmp_path / "runs", ("wesad",), ("valence",), models) == 4 * 25
    words = ["--runs", str(tmp_path / "runs"), "--leaderboards", str(tmp_path)]
    assert main(["leaderboard", *words]) == 0
    (path,) = tmp_path.glob("wesad*.csv")
    table = pd.read_csv(path, comment="#")
    assert set(table["model"]) == set(models)
    assert table["n_runs"].tolist() == [25] * 4


def test_the_script_for_a_gpu_needs_what_a_plain_image_has(tmp_path):
    """Its parts that start no processes, on the CPU; the others are tried by hand."""
    parts = ["equality", "reading", "steps", "stacked", "epoch"]
    code = f"""
import sys
for name in ("mne", "wandb", "cvxopt", "skops"):
    sys.modules[name] = None
from tests.benchmarks.gpu.__main__ import main
raise SystemExit(main(["--device", "cpu", "--out", {str(tmp_path)!r}, *{parts}]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["part"].unique().tolist() == parts
    assert table["reached"].all()
    assert (tmp_path / "run_dnn.txt").is_file()
