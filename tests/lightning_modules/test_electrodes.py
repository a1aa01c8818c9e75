"""Electrodes on both sides of the head, against lists of authors and counts by hand."""

import random

import pytest

from datamodules.amigos import EEG as AMIGOS
from datamodules.deap import EEG as DEAP
from datamodules.eegmat import EEG as EEGMAT
from datamodules.mahnob_hci import EEG as MAHNOB_HCI
from datamodules.seed_v import CHANNELS as SEED_V
from lightning_modules.electrodes import mirrored_pairs

AUTHORS_ORDER = (
    *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1"),
    *("Fp2", "AF4", "F4", "F8", "FC6", "FC2", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
)
"""DEAP's electrodes as the authors of TSception put them: left, then right in the same order."""


def pairs(channels):
    return [(channels[left], channels[right]) for left, right in mirrored_pairs(channels)]


@pytest.mark.parametrize("channels", [DEAP, MAHNOB_HCI, AUTHORS_ORDER])
def test_pairs_of_deap_are_those_of_tsceptions_authors(channels):
    expected = zip(AUTHORS_ORDER[:14], AUTHORS_ORDER[14:], strict=True)
    assert sorted(pairs(channels)) == sorted(expected)


@pytest.mark.parametrize(
    ("channels", "midline", "n_pairs"),
    [(EEGMAT, 3, 8), (AMIGOS, 0, 7), (SEED_V, 8, 27), (DEAP, 4, 14)],
    ids=["eegmat", "amigos", "seed_v", "deap"],
)
def test_all_but_the_midline_are_in_a_pair(channels, midline, n_pairs):
    assert sum(name.upper().endswith("Z") for name in channels) == midline
    assert len(channels) == midline + 2 * n_pairs
    assert len(pairs(channels)) == n_pairs
    assert len({name for pair in pairs(channels) for name in pair}) == 2 * n_pairs


def test_older_names_are_those_of_the_same_places():
    """T3 lies beside C3 and T5 beside P3, as T7 and P7 do."""
    assert pairs(("T5", "T3", "P3", "P4", "T4", "T6")) == [("T3", "T4"), ("P3", "P4"), ("T5", "T6")]
    assert pairs(("P7", "T7", "T8", "P8")) == [("T7", "T8"), ("P7", "P8")]
    assert pairs(("T3", "T8")) == [("T3", "T8")]


def test_the_order_of_channels_and_the_case_of_letters_do_not_matter():
    expected = pairs(EEGMAT)
    assert [left for left, _ in expected] == ["Fp1", "F3", "F7", "C3", "T3", "P3", "T5", "O1"]
    shuffled = list(EEGMAT)
    for seed in range(5):
        random.Random(seed).shuffle(shuffled)
        assert pairs(shuffled) == expected
    assert pairs([f"EEG {name}" for name in EEGMAT][2:4]) == [("EEG F3", "EEG F4")]  # as in EDF+
    upper = [name.upper() for name in EEGMAT]
    assert pairs(upper) == [(left.upper(), right.upper()) for left, right in expected]


@pytest.mark.parametrize(
    "channels",
    [
        (),
        ("Fz", "Cz", "Pz"),
        ("F3", "C4", "P7"),
        ("F4", "F5"),
        ("F0", "F11", "F12", "F3-F4", "EEG F3-A2", "EEG F4-A1", "ECG F3", "ECG F4"),
        ("ch1", "ch2", "EXG1", "EXG2", "A1", "A2", "M1", "M2", "", ""),
    ],
    ids=["none", "midline", "no mirror image", "other numbers", "no such place", "no electrode"],
)
def test_channels_without_a_pair(channels):
    assert mirrored_pairs(channels) == ()


def test_two_channels_of_one_place_are_refused():
    with pytest.raises(ValueError, match=r"expected one channel of an electrode, found T7 and T3"):
        mirrored_pairs(("T7", "T8", "T3"))
