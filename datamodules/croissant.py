"""Metadata of open datasets in the Croissant format of MLCommons, version 1.0. It needs no torch.

Only what is on record is stated. The format asks for ``datePublished`` too; where the day on which
a version was published is not on record, it is left out.
"""

from dataclasses import dataclass
from typing import Any

from datamodules.dataset import Dataset
from datamodules.download import Download, PackedFiles
from datamodules.errors import IncompatibleRunError

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "includes": "cr:includes",
    "sc": "https://schema.org/",
}
"""The part of the format's context whose words are used here."""
ODC_BY = "https://spdx.org/licenses/ODC-By-1.0.html"


@dataclass(frozen=True)
class Publication:
    """Facts of a published dataset that its reader does not need.

    Args:
        name: Title as published.
        url: Page of the dataset.
        license: Address of the licence.
        creators: People who made it, as its paper names them.
        version: Version as published; a commit is one.
        citation: Paper to be cited.
        recordings: Pattern of the paths of the recordings.
        encoding: Media type of the recordings.
        published: Day on which the version was published, as its page says; empty: not on record.
    """

    name: str
    url: str
    license: str
    creators: tuple[str, ...]
    version: str
    citation: str
    recordings: str
    encoding: str
    published: str = ""


PUBLICATIONS: dict[str, Publication] = {
    "stress_predict": Publication(
        "Stress-Predict",
        "https://github.com/italha-d/Stress-Predict-Dataset",
        "https://spdx.org/licenses/MIT.html",
        ("T. Iqbal",),
        "f49d2eae603f90c3f0140fbbbae7c0480d651023",
        "Iqbal et al., Sensors 22(21):8135, 2022, doi 10.3390/s22218135",
        "Raw_data/*/*.csv",
        "text/csv",
    ),
    "wearable_stress": Publication(
        "Wearable Device Dataset from Induced Stress and Structured Exercise Sessions",
        "https://physionet.org/content/wearable-device-dataset/1.0.1/",
        ODC_BY,
        ("Hongn", "Bosch", "Prado", "Ferrandez", "Bonomini"),
        "1.0.1",
        "Hongn, Bosch, Prado, Ferrandez, Bonomini: Wearable Physiological Signals under Acute "
        "Stress and Exercise Conditions. Scientific Data 12, 2025, doi 10.1038/s41597-025-04845-9",
        "Wearable_Dataset/*/*/*.csv",
        "text/csv",
    ),
    "eegmat": Publication(
        "EEG During Mental Arithmetic Tasks",
        "https://physionet.org/content/eegmat/1.0.0/",
        ODC_BY,
        ("Zyma", "Tukaev", "Seleznov", "Kiyono", "Popov", "Chernykh", "Shpenkov"),
        "1.0.0",
        "Zyma, Tukaev, Seleznov, Kiyono, Popov, Chernykh, Shpenkov: Electroencephalograms during "
        "Mental Arithmetic Task Performance. Data 4(1):14, 2019, doi 10.3390/data4010014",
        "*.edf",
        "application/octet-stream",
        "2018-12-17",
    ),
}
"""Open datasets whose licence names what may be done with them."""


def croissant(dataset: Dataset) -> dict[str, Any]:
    """Return the metadata as JSON-LD.

    Args:
        dataset: Open dataset.

    Raises:
        IncompatibleRunError: It is not open, or its licence is not certain.
    """
    published = PUBLICATIONS.get(dataset.name)
    if published is None or dataset.download is None:
        raise IncompatibleRunError(
            f"{dataset.title}: expected an open dataset with a known licence, one of "
            f"{', '.join(PUBLICATIONS)}. {dataset.access}"
        )
    signals = ", ".join(dataset.recorded(tuple(dataset.signals)))
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": published.name,
        "description": f"{signals} of people under several conditions; here for the tasks "
        f"{', '.join(dataset.tasks)}. Read by affectbench as {dataset.name}.",
        "license": published.license,
        "url": published.url,
        "creator": [{"@type": "sc:Person", "name": name} for name in published.creators],
        "version": published.version,
        **({"datePublished": published.published} if published.published else {}),
        "citeAs": published.citation,
        "distribution": _distribution(dataset.download, published),
    }


def _distribution(download: Download, published: Publication) -> list[dict[str, Any]]:
    """Return the archive, or the publisher's list of files, and the recordings."""
    if isinstance(download, PackedFiles):
        source = _file("archive", "all files in one", download.url, "application/gzip")
        digest = download.sha256 if download.checked == "archive" else None
        place: dict[str, Any] = {"containedIn": {"@id": "archive"}}
        includes = f"{download.inside}/{published.recordings}"
    else:
        address = download.url + download.listing
        source = _file(download.listing, "digest and path of each file", address, "text/plain")
        digest = download.sha256
        place = {"description": f"paths below {download.url}"}
        includes = published.recordings
    recordings = {
        "@type": "cr:FileSet",
        "@id": "recordings",
        "name": "recordings",
        **place,
        "encodingFormat": published.encoding,
        "includes": includes,
    }
    return [{**source, **({"sha256": digest} if digest else {})}, recordings]


def _file(name: str, description: str, address: str, encoding: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": description,
        "contentUrl": address,
        "encodingFormat": encoding,
    }
