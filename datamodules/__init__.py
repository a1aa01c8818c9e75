"""Raw files to batches: the catalogue of datasets."""

from datamodules.base import EmotionDataModule
from datamodules.empatica_e4 import EmpaticaE4DataModule
from datamodules.stress_predict import StressPredictDataModule
from datamodules.synthetic import SyntheticDataModule
from datamodules.wesad import WESADDataModule

DATAMODULES: dict[str, type[EmotionDataModule]] = {
    "wesad": WESADDataModule,
    "stress_predict": StressPredictDataModule,
    "empatica_e4": EmpaticaE4DataModule,
    "synthetic": SyntheticDataModule,
}
