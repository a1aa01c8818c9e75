"""The catalogue of datasets, in the order of lists."""

from datamodules.amigos import AMIGOSDataModule
from datamodules.datamodule import EmotionDataModule
from datamodules.deap import DEAPDataModule
from datamodules.empatica_e4 import EmpaticaE4DataModule
from datamodules.mahnob_hci import MAHNOBHCIDataModule
from datamodules.noise import NoiseDataModule
from datamodules.pmemo import PMEmoDataModule
from datamodules.seed_v import SEEDVDataModule
from datamodules.stress_predict import StressPredictDataModule
from datamodules.synthetic import SyntheticDataModule
from datamodules.wesad import WESADDataModule

DATAMODULES: dict[str, type[EmotionDataModule]] = {
    "wesad": WESADDataModule,
    "stress_predict": StressPredictDataModule,
    "deap": DEAPDataModule,
    "amigos": AMIGOSDataModule,
    "mahnob_hci": MAHNOBHCIDataModule,
    "pmemo": PMEmoDataModule,
    "seed_v": SEEDVDataModule,
    "empatica_e4": EmpaticaE4DataModule,
    "synthetic": SyntheticDataModule,
    "noise": NoiseDataModule,
}
