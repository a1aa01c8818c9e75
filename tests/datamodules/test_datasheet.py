"""Datasheets: what they say of every dataset of the catalogue, and of one that says little."""

from dataclasses import replace

import pytest

from datamodules.catalogue import DATASETS
from datamodules.datasheet import NOT_FOR, datasheet

HEADINGS = (
    "## Tasks",
    "## Signals as models see them",
    "## How models are compared",
    "## Terms and consent",
    "## It must not be used for",
)


def section(text: str, heading: str) -> list[str]:
    """Return the items of a section."""
    body = text.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return [line.removeprefix("* ") for line in body.splitlines() if line]


def test_every_dataset_says_what_it_is_not_for():
    assert set(NOT_FOR) == set(DATASETS)
    assert all(NOT_FOR.values())


@pytest.mark.parametrize("name", DATASETS)
def test_datasheets_of_the_catalogue(name):
    dataset, text = DATASETS[name], datasheet(DATASETS[name])
    assert text.startswith(f"# {dataset.title}\n\n")
    assert [line for line in text.splitlines() if line in HEADINGS] == list(HEADINGS)
    tasks, signals = section(text, HEADINGS[0]), section(text, HEADINGS[1])
    assert [line.split(":")[0].split(",")[0] for line in tasks] == list(dataset.every_task())
    assert [line.split(":")[0] for line in signals] == list(dataset.signals)
    terms = section(text, HEADINGS[3])
    assert terms[0] == dataset.access
    assert ("Nobody was recorded." in terms) == (not dataset.has_files)
    assert {f"{use}." for use in NOT_FOR[name]} < set(section(text, HEADINGS[4]))
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_what_is_derived_or_optional_is_marked():
    signals = section(datasheet(DATASETS["seed_v"]), HEADINGS[1])
    assert "eeg: 62 channels, 200 Hz, only with the option raw" in signals
    assert "eda_tonic: 1 channel, 4 Hz, derived" in section(
        datasheet(DATASETS["wesad"]), HEADINGS[1]
    )


def test_terms_of_a_download_are_stated():
    assert "Terms as stated: ODC-By 1.0 licence; cite Zyma et al., Data 4(1):14, 2019." in section(
        datasheet(DATASETS["eegmat"]), HEADINGS[3]
    )


def test_a_dataset_of_somebody_else_says_that_no_more_is_said():
    lines = section(datasheet(replace(DATASETS["wesad"], name="mine")), HEADINGS[4])
    assert lines[-1] == "Whoever made this dataset has not said more."
    assert len(lines) == 2
