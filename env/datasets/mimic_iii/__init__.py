"""EHR question answering over SQLite: EHRSQL's MIMIC-III questions and their synthetic twin."""

from env.datasets.mimic_iii.dataset import MimicIII

__all__ = ["MimicIII"]
