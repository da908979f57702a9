"""Measured rows take the place of assumptions."""

import json
from pathlib import Path

import pytest

from env.errors import UserError
from medcopilot.bench.train.cases import FULL, TINY, base
from medcopilot.plan.assumptions import GPUS
from medcopilot.plan.calibration import read_calibration
from medcopilot.plan.estimate import Hardware, plan
from medcopilot.plan.recipe import read_recipe

ROOT = Path(__file__).resolve().parents[3]


def write(path: Path, **changes: object) -> Path:
    row = {"case": "sft/7b/base", "stage": "sft", "size": "7b", "option": "base", "status": "ok", "device": "NVIDIA H100 80GB HBM3",
           "versions": {"torch": "2.13"}, "scale": FULL._asdict(), "options": base("sft", "7b").__dict__, "hfu": 0.6, "mfu": 0.45,
           "peak_bytes": 90 * 2**30, "tokens": 16_000, "trained_tokens": 5_600, **changes}
    path.write_text(json.dumps(row) + "\n")
    return path


def test_a_measured_utilisation_sets_the_pace(tmp_path: Path) -> None:
    recipe, hardware = read_recipe(ROOT / "recipes/qwen2.5-7b/sft.yaml"), Hardware("h100", 8, "zero3")
    assumed, measured = plan(recipe, hardware), plan(recipe, hardware, calibration=read_calibration(write(tmp_path / "x"), "h100"))
    assert measured.seconds.update == pytest.approx(assumed.seconds.update * GPUS["h100"].utilisation / 0.6)
    assert measured.calibrated
    assert measured.spread < assumed.spread


def test_measured_peaks_scale_activations(tmp_path: Path) -> None:
    one, more = (read_calibration(write(tmp_path / "x", peak_bytes=peak * 2**30), "h100").memory for peak in (80, 90))
    assert 0 < one < more


@pytest.mark.parametrize("changes", [{"device": "NVIDIA A100-SXM4-80GB"}, {"scale": TINY._asdict()}, {"status": "oom"}])
def test_rows_of_something_else_are_no_calibration(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(UserError, match="no measured row"):
        read_calibration(write(tmp_path / "x", **changes), "h100")
