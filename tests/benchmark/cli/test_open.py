"""The suite of open datasets, from nothing to a report."""

from pathlib import Path

import pytest

from benchmark.cli.main import main
from benchmark.plan.parse import load_suite
from benchmark.recordings import download as module
from datamodules.catalogue import DATASETS
from datamodules.synthesis import eegmat

PEOPLE = [f"Subject0{number}" for number in range(5)]
WORDS = [
    *("run", "open", "--download", "--dataset", "eegmat", "--subject", *PEOPLE, "--folds", "2"),
    *("--model", "majority", "--devices", "cpu", "--jobs-per-device", "1"),
]


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """Calls of the download, which makes recordings up instead; the current folder is empty."""
    calls: list[str] = []

    def made_up(dataset, root, console):
        calls.append(dataset)
        eegmat.write(root, len(PEOPLE), rest=60)
        return "and is made up"

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "download", made_up)
    monkeypatch.setattr(module, "is_complete", lambda dataset, root: root.is_dir())
    return calls


def test_every_open_dataset_can_be_fetched():
    suite = load_suite("open")
    assert suite.datasets == ("stress_predict", "wearable_stress", "eegmat")
    for name in suite.datasets:
        assert DATASETS[name].access.startswith("Open data")
        assert DATASETS[name].download is not None
    opened = [name for name, known in DATASETS.items() if known.access.startswith("Open data")]
    assert sorted(opened) == sorted(suite.datasets)


def test_a_dry_run_says_what_it_would_fetch_and_fetches_nothing(fetched, tmp_path, capsys):
    assert main(["run", "open", "--download", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["stress_predict", "wearable_stress", "eegmat"]
    assert all("to be fetched to data/" in line for line in lines)
    assert fetched == []
    assert list(tmp_path.iterdir()) == []


def test_from_nothing_to_a_report(fetched, capsys):
    assert main([*WORDS, "--report"]) == 0
    assert fetched == ["eegmat"]
    told = capsys.readouterr().out
    assert "eegmat is in data/eegmat, and is made up" in told
    assert "no estimate yet for 2 run(s): none of their kind is finished" in told
    assert "<html" in Path("report.html").read_text()
    assert main([*WORDS, "--seeds", "1"]) == 0
    assert fetched == ["eegmat"]
    assert "estimate for 2 run(s): 0.00 hours on 1 worker(s)" in capsys.readouterr().out
    assert main([*WORDS, "--dry-run"]) == 0
    assert "0 to do" in capsys.readouterr().out
