"""Run folders made by hand: one under way with a torn last line, as a trainer leaves it while it writes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

NOW = 1_800_000_000.0


class Run:
    """A run folder, and a clock that nobody has to wait for."""

    now = NOW

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, text: str, age: float = 0.0) -> Path:
        """A file that was last written `age` seconds ago."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        os.utime(path, (NOW - age, NOW - age))
        return path

    def metrics(self, stage: str, rows: list[dict[str, Any]], torn: str = "", age: float = 0.0) -> Path:
        return self.put(f"metrics/{stage}.jsonl", "".join(json.dumps(row) + "\n" for row in rows) + torn, age)

    @staticmethod
    def rows(count: int, of: int = 40) -> list[dict[str, Any]]:
        """Rows of GRPO: steps of ten seconds, `of` in all."""
        steady = {"groups/zero_variance": 0.2, "rollouts/infrastructure": 0.0, "rollouts/turns": 3.0, "rollouts/seconds": 4.0,
                  "rollouts/tokens_per_second": 1234.0, "speed/tokens_per_second": 567.0, "time/wait": 6.0, "time/sync": 0.5,
                  "time/update": 3.0, "time/other": 0.5, "time/step": 10.0, "share/generate": 0.5, "share/env": 0.25,
                  "share/grade": 0.125}
        return [{"step": step, "seconds": 10.0 * step, "tokens": 1000 * step, "progress": step / of, "loss": 0.01 * step,
                 "reward": 0.3 + 0.01 * step, "success": 0.25 + 0.01 * step, **steady} for step in range(1, count + 1)]

    def finish(self, stage: str) -> None:
        self.put(f"checkpoints/{stage}/medcopilot.json", "{}")

    def work(self, stage: str, resumable: bool = False) -> None:
        (self.folder / "checkpoints" / f"{stage}.work").mkdir(parents=True, exist_ok=True)
        if resumable:
            self.put(f"checkpoints/{stage}.work/checkpoint-2/complete.json", "{}")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """SFT has finished, GRPO is a quarter through, with an alarm and samples."""
    made = Run(tmp_path / "nano")
    made.metrics("sft", [{"step": step, "seconds": 1.0 * step, "loss": 2 / step, "mean_token_accuracy": 0.9}
                         for step in range(20, 200, 20)], age=600)
    made.finish("sft")
    made.metrics("grpo", made.rows(10), torn='{"step": 11, "secon', age=5)
    made.work("grpo")
    made.put("alarms/grpo.jsonl", json.dumps({"step": 9, "name": "infrastructure", "value": 0.08, "limit": 0.05,
                                              "text": "8 of 100 episodes failed, most often EngineError: [bold]gone"}) + "\n")
    head = {"stage": "grpo", "step": 10, "rows": [["mimic_iii", "synthetic"]]}
    made.put("samples/grpo/step-1.md", "<!-- {} -->\n# grpo, step 1\nold\n")
    made.put("samples/grpo/step-10.md", "\n".join([
        f"<!-- {json.dumps(head)} -->", "# grpo, step 10", "", "## mimic_iii · success: How old is she?", "",
        "### Turn 1: code_execution", "", "```", "select [red]age[/red]\x1b[2J from patients", "```", "", "### Outcome", "",
        "strict 1.00 (correct).", ""]))
    return made
