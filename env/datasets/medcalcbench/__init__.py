"""MedCalc-Bench: clinical calculations from a patient note."""

from __future__ import annotations

from env.datasets.medcalcbench.dataset import MedCalcBench

__all__ = ["MedCalcBench"]
