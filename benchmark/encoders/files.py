"""Files of weights: which file an encoder has in this call, and what is known of it. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchmarkError
from datamodules.digests import file_digest

DIGITS = 16


class WeightsError(BenchmarkError):
    """A file of weights that is missing, is none, or does not fit its encoder."""


@dataclass(frozen=True)
class Weights:
    """Weights of an encoder.

    Args:
        file: Path of the file.
        pretrained_on: Names of the datasets that they were trained on; empty: those that the
            encoder's entry in the catalogue names, of its published weights.
    """

    file: str
    pretrained_on: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Digest of the file, wherever it lies; raises WeightsError if it cannot be read."""
        path = Path(self.file)
        if not path.is_file():
            raise WeightsError(
                f"{self.file}: expected a file of weights, found none. Name one that is there by "
                "--encoder NAME=FILE"
            )
        try:
            return file_digest(path.absolute())[:DIGITS]
        except OSError as error:
            raise WeightsError(f"{self.file} cannot be read: {error.strerror}") from error


def weights_of(encoders: Mapping[str, Weights], name: str, digest: str) -> Path:
    """Return the file of the weights that a run was planned with.

    Args:
        encoders: Weights of this call, by encoder.
        name: Name of the encoder.
        digest: Digest of the file.

    Raises:
        WeightsError: No such file in this call, or another one.
    """
    weights = encoders.get(name)
    found = weights.digest if weights else "none"
    if weights is None or found != digest:
        raise WeightsError(
            f"{name}: expected the file of weights {digest}, found {found}. Give it by "
            f"--encoder {name}=FILE"
        )
    return Path(weights.file)
