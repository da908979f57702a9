"""`medcopilot bench train`: what is run, what a row says, resuming, and that it needs neither TRL nor pydantic."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from env.errors import UserError
from medcopilot.bench.train import data, models, results
from medcopilot.bench.train import measure as measuring
from medcopilot.bench.train.__main__ import main
from medcopilot.bench.train.cases import FULL, SIZES, STAGES, TINY, Case, Options, base, cases_of, plan
from medcopilot.bench.train.steps import prepare
from medcopilot.train.flops import FlopMeter, shape_of
from medcopilot.train.settings import LoraSettings

CPU = torch.device("cpu")
SMALL = TINY._replace(length=0.5, line=128, lines=2, rollouts=4)


def case_of(stage: str, option: str = "base", size: str = "3b") -> Case:
    return next(case for case in cases_of(stage, size) if case.option == option)


def row_of(option: str, status: str = "ok", **changes: Any) -> dict[str, Any]:
    figures = {"seconds": 2.0, "tokens_per_second": 4096.0, "evaluate_seconds": None, "mfu": 0.41, "hfu": 0.5,
               "peak_bytes": 60 * 2**30}
    found = figures if status == "ok" else {"reason": "no | room"}
    return {"case": f"sft/7b/{option}", "stage": "sft", "size": "7b", "option": option, "device": "NVIDIA H200", "status": status,
            "device_bytes": 140 * 2**30, "threads": None, "versions": {"torch": "2.11.0", "peft": None}, "scale": FULL._asdict(),
            **found, **changes}


def test_the_plan_of_a_gpu_covers_what_was_asked_for() -> None:
    cases = plan()
    assert [case.name for case in cases[:5]] == [
        "sft/7b/base", "dpo/7b/base", "grpo/7b/base", "ppo/7b/base", "ppo/3b/base"]
    assert len({case.name for case in cases}) == len(cases)
    assert base("ppo", "7b").lora
    assert not base("ppo", "3b").lora
    for stage in STAGES:
        start, *others = (case for case in cases if case.stage == stage and case.size == "7b")
        assert all(case.options != start.options for case in others)
        assert {"checkpointing", "lora", "attention", "optimizer"} <= {case.option.partition("=")[0] for case in others}
    assert {"packing=off", "chunked=off"} <= {case.option for case in cases if case.stage == "sft"}


@pytest.mark.parametrize("wanted", [{"stages": ["sgd"]}, {"sizes": ["8b"]}, {"options": ["lora"]},
                                    {"stages": ["ppo"], "options": ["packing=off"]}])
def test_names_that_are_none_are_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"choose among|no such case"):
        plan(**wanted)


def test_seven_billion_parameters_at_real_size() -> None:
    from transformers import AutoModelForCausalLM, Qwen2Config

    counts = {}
    for name in ("3b", "7b", "14b"):
        size = SIZES[name]
        config = Qwen2Config(vocab_size=size.vocabulary, hidden_size=size.hidden, num_hidden_layers=size.layers,
                             num_attention_heads=size.heads, num_key_value_heads=size.key_heads,
                             intermediate_size=size.feed_forward, tie_word_embeddings=size.tied)
        with torch.device("meta"):
            counts[name] = AutoModelForCausalLM.from_config(config).num_parameters()
    assert counts == {"3b": 3_085_938_688, "7b": 7_615_616_512, "14b": 14_770_033_664}  # as the hub's model cards count them


@pytest.mark.parametrize("length", [20, 133, 2128])
def test_a_row_is_an_opening_and_turns(length: int) -> None:
    mask = data.turns_mask(length)
    assert mask[0] == 0
    assert mask[-1] == 1
    assert mask[: int(0.4 * length)].sum() == 0
    assert (mask[1:] > mask[:-1]).sum() == 3
    assert mask.mean() == pytest.approx(0.35, abs=2 / length + 0.01)


def test_real_sizes_hold_what_their_names_say() -> None:
    lines = data.sft_lines(FULL, 1000)
    assert [sum(len(row["input_ids"]) for row in line) <= 8192 for line in lines] == [True, True]
    assert sum(len(row["input_ids"]) for line in lines for row in line) > 0.8 * 2 * 8192
    rows = data.rollout_rows(FULL, 1000)
    assert len(rows) == 16
    assert sum(row.advantage for row in rows) == pytest.approx(0, abs=1e-6)
    assert max(len(row.ids) for row in rows) <= 8192
    assert all(one.ids[:20] == other.ids[:20] for one, other in data.pair_rows(FULL, 1000))


def loss_of(stage: str, option: str) -> float:
    step = prepare(case_of(stage, option), SMALL, CPU)
    return sum(step.loss(batch).item() for batch in step.batches)


@pytest.mark.parametrize(("stage", "option"), [("sft", "chunked=off"), ("sft", "packing=off"), ("sft", "attention=sdpa"),
                                               ("dpo", "chunked=off"), ("dpo", "reference=on"), ("grpo", "chunked=off")])
def test_an_option_changes_how_not_what(stage: str, option: str) -> None:
    assert loss_of(stage, option) == pytest.approx(loss_of(stage, "base"), rel=2e-2, abs=5e-3)


def test_flops_are_those_that_a_meter_counts() -> None:
    step = prepare(case_of("sft"), SMALL, CPU)
    meter = FlopMeter(step.module)
    spare = 0
    for batch in step.batches:
        step.loss(batch)
        spare += -int((batch["labels"][:, 1:] != -100).sum()) % 256  # which the head rounds up to
    assert meter.take()[0] == pytest.approx(step.flops + 6 * shape_of(step.module).head * spare)
    meter.close()
    assert step.recomputed > step.flops


def test_adapters_are_those_of_the_recipes() -> None:
    default = LoraSettings()
    ours = (models.LORA[name] for name in ("r", "lora_alpha", "lora_dropout", "target_modules"))
    assert tuple(ours) == (default.rank, default.alpha, default.dropout, default.targets)


@pytest.mark.parametrize(("error", "status"), [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "oom"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), "oom"),
    (models.Missing("flash-attn is not installed"), "missing"), (ValueError("a fault of ours"), "failed")])
def test_what_goes_wrong_is_a_row(monkeypatch: pytest.MonkeyPatch, error: Exception, status: str) -> None:
    def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr(measuring, "prepare", fails)
    row = measuring.measure(case_of("sft"), TINY, CPU, steps=1, warm=0)
    assert row["status"] == status
    assert str(error).split(":")[0] in row["reason"]
    assert row["case"] == "sft/3b/base"


def test_what_is_not_installed_is_missing() -> None:
    for option in ("attention=flash", "optimizer=8bit"):
        row = measuring.measure(case_of("dpo", option), SMALL, CPU, steps=1, warm=0)
        assert row["status"] in ("missing", "ok")  # bitsandbytes may be there
        assert row["status"] == "ok" or row["reason"]


def test_a_loss_that_is_no_number_fails_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    step = prepare(case_of("grpo"), SMALL, CPU)
    step.loss = lambda batch: float("nan") * sum(p.float().sum() for p in step.module.parameters())
    monkeypatch.setattr(measuring, "prepare", lambda *_: step)
    assert "not finite" in measuring.measure(case_of("grpo"), SMALL, CPU, steps=1, warm=0)["reason"]


def test_rows_are_kept_replaced_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows: list[dict[str, Any]] = []
    for row in (row_of("base"), row_of("lora=on", "failed"), row_of("base", device="NVIDIA A100"), row_of("lora=on", "oom")):
        results.add(path, rows, row)
    with path.open("a") as handle:
        handle.write('{"case": "sft/7b/tor')  # as a kill leaves it
    assert [(row["option"], row["device"], row["status"]) for row in results.load(path)] == [
        ("base", "NVIDIA H200", "ok"), ("base", "NVIDIA A100", "ok"), ("lora=on", "NVIDIA H200", "oom")]
    assert len(results.done(results.load(path))) == 3
    assert results.done([row_of("base", "missing"), row_of("base", "failed")]) == set()
    path.write_text('{"p50_ms": 3}\n')
    with pytest.raises(UserError, match="not a file of results"):
        results.load(path)
    assert results.load(tmp_path / "none") == []


def test_the_table() -> None:
    text = results.table([row_of("checkpointing=off", "oom"), row_of("base"),
                          row_of("lora=on", tokens_per_second=8192.0, peak_bytes=20 * 2**30)])
    lines = text.splitlines()
    assert lines[0] == "NVIDIA H200 (140 GiB); torch 2.11.0."
    assert lines[4:] == [
        "| sft | 7b | base | 2 |  | 4,096 | 41.0 % | 50.0 % | 60.0 |  |",
        "| sft | 7b | checkpointing=off | out of memory: no / room | | | | | | |",
        "| sft | 7b | lora=on | 2 |  | 8,192 | 41.0 % | 50.0 % | 20.0 | 2.00 x speed, -40.0 GiB |"]
    assert "says nothing about speed" in results.table([row_of("base", device_bytes=None, threads=1, scale=TINY._asdict())])


@pytest.mark.parametrize("arguments", [["--json", "x", "--only", "sgd"], ["--json", "x", "--steps", "0"],
                                       ["--table", "{folder}/junk"]])
def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    (tmp_path / "junk").write_text("not rows")
    assert main([word.replace("{folder}", str(tmp_path)) for word in arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_real_sizes_need_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--json", str(tmp_path / "rows"), "--only", "sft"]) == 2
    assert "--tiny" in capsys.readouterr().err


ABSENT = ("trl", "vllm", "flash_attn", "datasets", "accelerate", "pydantic", "typer", "deepspeed", "peft", "env.task")
_BLOCKED = f"""
import importlib.abc, importlib.util, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if absent(name):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
def absent(name):
    return name in {ABSENT!r} or name.partition(".")[0] in {ABSENT!r}
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if absent(name) else found(name, package)  # as where it is not there
sys.meta_path.insert(0, Absent())
from medcopilot.bench.train.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_every_stage_runs_where_little_more_than_torch_is_installed(tmp_path: Path, repository: Path) -> None:
    """A second call measures nothing again; the file becomes a table."""
    path = tmp_path / "rows.jsonl"
    command = [sys.executable, "-c", _BLOCKED, "--json", str(path), "--tiny", "--size", "3b", "--option", "base", "--steps", "1",
               "--warm", "0"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["case"] for row in rows] == [f"{stage}/3b/base" for stage in STAGES]
    assert all(row["status"] == "ok" and row["seconds"] > 0 and row["tokens_per_second"] > 0 for row in rows)
    assert [row["evaluate_seconds"] is not None for row in rows] == [False, False, False, True]
    assert main(["--json", str(path), "--tiny", "--size", "3b", "--option", "base"]) == 0
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows
    assert results.table(rows).count("\n| ") == 5


def test_options_that_ppo_keeps() -> None:
    assert Options(reference=True, lora=True) == base("ppo", "7b")
