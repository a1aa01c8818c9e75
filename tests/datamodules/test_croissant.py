"""Croissant metadata: the words that version 1.0 asks for, and nothing that is not on record."""

import json
from datetime import date

import pytest

from datamodules.catalogue import DATASETS
from datamodules.croissant import CONTEXT, PUBLICATIONS, croissant
from datamodules.errors import IncompatibleRunError

REQUIRED = {
    *("@context", "@type", "conformsTo", "description", "license", "name", "url", "creator"),
    "distribution",
}
"""Of the format's section on datasets, without datePublished, which is on record for few."""


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_what_the_format_requires_is_there(name):
    metadata = json.loads(json.dumps(croissant(DATASETS[name])))
    assert set(metadata) >= REQUIRED
    assert metadata["@type"] == "sc:Dataset"
    assert metadata["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert metadata["url"].startswith("https://")
    assert metadata["license"].startswith("https://spdx.org/licenses/")
    kinds = [part["@type"] for part in metadata["distribution"]]
    assert kinds == ["cr:FileObject", "cr:FileSet"]
    if "datePublished" in metadata:
        assert date.fromisoformat(metadata["datePublished"]) < date.today()


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_words_of_croissant_are_in_the_context(name):
    def words(value: object) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(words, value))
        if isinstance(value, dict):
            return set(value) | set().union(*map(words, value.values()))
        return set()

    metadata = croissant(DATASETS[name])
    ours = words({key: value for key, value in metadata.items() if key != "@context"})
    of_schema_org = {
        *("name", "description", "license", "url", "creator", "version", "datePublished"),
        *("distribution", "sha256"),
        *("contentUrl", "encodingFormat", "containedIn", "@type", "@id", "@context"),
    }
    assert ours - of_schema_org <= set(CONTEXT)


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_files_and_version_are_those_that_are_fetched(name):
    metadata, download = croissant(DATASETS[name]), DATASETS[name].download
    assert download is not None
    assert metadata["distribution"][0]["contentUrl"].startswith(download.url)
    assert metadata["version"] in download.url
    licence = metadata["license"].rpartition("/")[2].removesuffix(".html")
    assert download.terms.startswith(licence.replace("-1.0", " 1.0"))


def test_digests_are_of_what_stands_beside_them():
    digests = {
        name: croissant(DATASETS[name])["distribution"][0].get("sha256") for name in PUBLICATIONS
    }
    listed = DATASETS["wearable_stress"].download
    assert listed is not None
    assert digests == {
        "stress_predict": None,  # on record is that of its files, not of the archive
        "wearable_stress": listed.sha256,
        "eegmat": None,
    }


@pytest.mark.parametrize("name", ["wesad", "deap", "synthetic"])
def test_others_are_refused(name):
    with pytest.raises(IncompatibleRunError, match="expected an open dataset with a known licence"):
        croissant(DATASETS[name])
