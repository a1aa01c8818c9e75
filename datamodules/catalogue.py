"""The catalogue of datasets, in the order of lists; importable without torch."""

from datamodules.amigos import AMIGOS
from datamodules.dataset import Dataset
from datamodules.deap import DEAP
from datamodules.eegmat import EEGMAT
from datamodules.empatica_e4 import EMPATICA_E4
from datamodules.mahnob_hci import MAHNOB_HCI
from datamodules.noise import NOISE
from datamodules.pmemo import PMEMO
from datamodules.seed_v import SEED_V
from datamodules.stress_predict import STRESS_PREDICT
from datamodules.synthetic import SYNTHETIC
from datamodules.wearable_stress import WEARABLE_STRESS
from datamodules.wesad import WESAD

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        WESAD,
        STRESS_PREDICT,
        WEARABLE_STRESS,
        EEGMAT,
        DEAP,
        AMIGOS,
        MAHNOB_HCI,
        PMEMO,
        SEED_V,
        EMPATICA_E4,
        SYNTHETIC,
        NOISE,
    )
}
