"""The selftest's own reckoning; that it passes is for ``affectbench selftest`` itself to say."""

import json

import pytest

from benchmark.checks import selftest
from benchmark.checks.selftest import CASES, JUDGED, Check, table_of
from benchmark.cli.main import main
from benchmark.plan.expand import Prepared, expand
from benchmark.plan.suite import Suite
from datamodules.flags import FLAGS, known_flags

EIGHT = Prepared(tuple(f"N{number}" for number in range(1, 9)), {}, "e" * 16)
GOOD = Check("nothing planted: lda", "in 18 of 20", "in 19", passed=True)
BAD = Check("guard: random_windows", "refused", "not refused", passed=False)


@pytest.mark.parametrize(("checks", "status"), [([GOOD], 0), ([GOOD, BAD], 1)])
def test_status_and_record(tmp_path, monkeypatch, capsys, checks, status):
    monkeypatch.setattr(selftest, "selftest", lambda *_: checks)
    assert main(["selftest", "--leaderboards", str(tmp_path), "--jobs", "3"]) == status
    record = json.loads((tmp_path / "selftest.json").read_text())
    assert record["passed"] is (status == 0)
    assert [check["name"] for check in record["checks"]] == [check.name for check in checks]
    assert record["workers"] == 3
    assert {"commit", "versions", "when", "seconds"} <= set(record)
    assert ("FAILED" in capsys.readouterr().out) is (status == 1)
    assert ("FAILED" in table_of(checks)) is (status == 1)


def test_every_flag_is_judged_on_a_run_that_is_planned():
    assert set(JUDGED) == set(FLAGS)
    planned = {}
    for name, case in CASES.items():
        suites = list(case.suites())
        assert all(isinstance(suite, Suite) for suite in suites)
        planned[name] = expand(suites[0], {"noise": EIGHT}).runs
    for flag, (case, model, besides) in JUDGED.items():
        wanted = known_flags([flag, *([besides] if besides else [])])
        assert any((run.name, run.protocol.flags) == (model, wanted) for run in planned[case])
        assert any(run.name == model and flag not in run.protocol.flags for run in planned[case])


@pytest.mark.parametrize(("low", "high", "holds"), [(0.1, 0.3, 1), (0.21, 0.3, 0), (0.1, 0.19, 0)])
def test_interval_has_to_hold_chance(monkeypatch, low, high, holds):
    runs = expand(next(CASES["null"].suites()), {"noise": EIGHT}).runs
    monkeypatch.setattr(selftest, "_balanced", lambda *_: [(runs[0], [0.0])] * 20)
    monkeypatch.setattr(selftest, "interval", lambda _: (0.2, low, high))
    (check,) = selftest._chances([], None, "nothing", 18, 20)
    assert check.passed is bool(holds)
    assert check.found == f"in {20 * holds}"
