from pathlib import Path

import pytest

from datamodules.calibration import ABOUT, KINDS, check_windows, parse
from datamodules.errors import IncompatibleRunError
from datamodules.flags import FLAGS
from datamodules.protocol import Protocol


@pytest.mark.parametrize(
    ("text", "canonical", "seconds", "slug"),
    [
        ("baseline", "baseline:1", 60.0, "calibrated_by_baseline_1_min"),
        ("baseline:1.0", "baseline:1", 60.0, "calibrated_by_baseline_1_min"),
        ("baseline:2", "baseline:2", 120.0, "calibrated_by_baseline_2_min"),
        ("baseline:0.5", "baseline:0.5", 30.0, "calibrated_by_baseline_0.5_min"),
        ("unlabelled", "unlabelled", 0.0, "calibrated_by_unlabelled"),
        ("whole", "whole", 0.0, "calibrated_by_whole"),
    ],
)
def test_one_calibration_has_one_name(text: str, canonical: str, seconds: float, slug: str) -> None:
    protocol = Protocol(calibration=text)
    assert protocol.calibration == canonical
    assert protocol == Protocol(calibration=canonical)
    assert protocol.calibrating.seconds == seconds
    assert protocol.calibrating.slug == slug
    assert protocol.calibrating
    assert Path(slug).name == slug


def test_nothing_is_calibrated_by_default() -> None:
    assert not Protocol().calibrating
    assert Protocol() == Protocol(calibration="none")


@pytest.mark.parametrize(
    "text", ["", "Whole", "whole:2", "none:1", "baseline:0", "baseline:", "baseline:-1", "rest"]
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(IncompatibleRunError, match=r"no calibration .*expected one of none"):
        Protocol(calibration=text)


def test_whole_alone_looks_ahead() -> None:
    texts = ["none", "baseline:1", "unlabelled", "whole", "labelled:1"]
    assert [parse(text).kind for text in texts] == list(KINDS)
    assert [parse(text).causal for text in texts] == [True, True, True, False, True]
    assert set(ABOUT) == set(KINDS)
    assert "transductive" in parse("whole").about
    assert "causal" in parse("unlabelled").about
    assert "first 2 min" in parse("baseline:2").about


@pytest.mark.parametrize(
    "values",
    [
        {"padding": "zero"},
        {"padding": "zero", "mask": True},
        {"split": "trial_k_fold"},
        {"split": "session_out", "folds": 3},
        {"flags": (next(iter(FLAGS)),)},
    ],
    ids=str,
)
def test_new_people_without_flaws_are_calibrated(values: dict[str, object]) -> None:
    with pytest.raises(IncompatibleRunError, match="calibration whole: expected a split over"):
        Protocol(calibration="whole", **values)  # type: ignore[arg-type]
    Protocol(**values)  # type: ignore[arg-type]


def test_windows_that_a_baseline_does_not_hold_are_refused() -> None:
    minute = parse("baseline:1")
    check_windows(minute, 60.0, 60.0, "standard")
    for length, unit in ((61.0, None), (61.0, 90.0), (45.0, 30.0)):
        with pytest.raises(IncompatibleRunError, match="expected windows of at most"):
            check_windows(minute, length, unit, "standard")
        check_windows(parse("whole"), length, unit, "none")
    with pytest.raises(IncompatibleRunError, match="found scaling min_max"):
        check_windows(parse("whole"), 10.0, 30.0, "min_max")
    check_windows(parse("none"), 10.0, 30.0, "min_max")
