"""The selftest's own reckoning; that it passes is for ``affectbench selftest`` itself to say."""

import dataclasses
import json
from math import comb

import numpy as np
import pytest

from benchmark.checks import selftest
from benchmark.checks.cases import make_cases
from benchmark.checks.selftest import Check, allowed_misses, table_of
from benchmark.cli.main import main
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.plan.expand import expand
from benchmark.plan.prepared import Prepared
from benchmark.probes import fit
from benchmark.recordings.prepare import prepare
from benchmark.store import Store

EIGHT = Prepared(tuple(f"N{number}" for number in range(1, 9)), {}, "e" * 16)
GOOD = Check("nothing planted: lda", "at most 6 of 20", "in 1", passed=True)
BAD = Check("guard: random_windows", "refused", "not refused", passed=False)


@pytest.mark.parametrize(("checks", "status"), [([GOOD], 0), ([GOOD, BAD], 1)])
def test_status_and_record(tmp_path, monkeypatch, capsys, checks, status):
    releases = []
    monkeypatch.setattr(selftest, "selftest", lambda *given: releases.append(given[-1]) or checks)
    assert main(["selftest", "--leaderboards", str(tmp_path), "--jobs", "3"]) == status
    record = json.loads((tmp_path / "selftest.json").read_text())
    assert record["passed"] is (status == 0)
    assert [check["name"] for check in record["checks"]] == [check.name for check in checks]
    assert record["workers"] == 3
    assert releases == [record["versions"]["affectbench"]]
    assert {"commit", "versions", "when", "seconds"} <= set(record)
    assert ("FAILED" in capsys.readouterr().out) is (status == 1)
    assert ("FAILED" in table_of(checks)) is (status == 1)


@pytest.mark.parametrize("draws", [1, 5, 8, 20, 100])
def test_allowed_misses_are_those_of_the_binomial_distribution(draws):
    def more_than(count: int) -> float:
        misses = range(count + 1, draws + 1)
        return sum(comb(draws, k) * 0.05**k * 0.95 ** (draws - k) for k in misses)

    allowed = allowed_misses(draws)
    assert selftest.N_NULL == 12 + 2 + 3
    assert more_than(allowed) <= 0.001 / 17
    assert more_than(allowed - 1) > 0.001 / 17


@pytest.mark.parametrize(("missed", "passes"), [(0, True), (6, True), (7, False), (20, False)])
def test_as_many_intervals_may_miss_chance(monkeypatch, missed, passes):
    runs = expand(next(make_cases("1").get("null").suites()), {"noise": EIGHT}).runs
    values = [[0.3, 0.31] * 4] * missed + [[0.1, 0.3] * 4] * (20 - missed)
    monkeypatch.setattr(selftest, "_balanced", lambda *_: [(runs[0], one) for one in values])
    (check,) = selftest._chances([], None, "nothing")
    assert check.passed is passes
    assert check.found == f"in {missed}"
    assert check.expected == "interval misses chance in at most 6 of 20 draws"


@pytest.mark.parametrize("leaks", [False, True])
def test_a_leak_that_the_guard_cannot_see_is_found(tmp_path, monkeypatch, leaks):
    """Tested windows are trained on as well, behind the index that the guard looks at."""

    def windows(module, part):
        grid, rows = original(module, part)
        if part == "test":
            return grid, rows
        tested = np.flatnonzero(np.isin(grid.segment, module.fold.segments["test"]))
        return grid, np.concatenate([rows, tested])

    original = fit._windows
    if leaks:
        monkeypatch.setattr(fit, "_windows", windows)
    case = make_cases("made up")["null"]
    case = dataclasses.replace(
        case, fields={**case.fields, "models": ("random_forest",)}, draws=case.draws[:5]
    )
    places = Places(tmp_path, tmp_path / "cache", tmp_path / "runs", logger="none")
    results = []
    for suite in case.suites():
        options = suite.options["noise"]
        prepared = prepare("noise", tmp_path, places.cache, options, ())
        results += [execute(run, places) for run in expand(suite, {"noise": prepared}).runs]
    assert [result.error for result in results] == [""] * 5
    (check,) = selftest._chances(results, Store(places.runs), "nothing planted")
    assert check.passed is not leaks
