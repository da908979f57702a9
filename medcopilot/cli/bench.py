"""`medcopilot bench`: how fast this machine is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcopilot.cli import texts
from medcopilot.cli.places import no_folder

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Measure speed on this machine.")


@app.callback()
def group() -> None:
    """Measure speed on this machine."""


@app.command("sandbox")
def sandbox(
    backend: Annotated[str, typer.Option(help=texts.SANDBOX)] = "auto",
    repeats: Annotated[int, typer.Option(help="boxes measured for each median", min=5)] = 40,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write the measurements here")] = None,
) -> None:
    """Start, execution, stop and throughput of boxes, beside a cold sandbox and a polled subprocess.

    `medcopilot bench sandbox --json FILE` takes about a minute; on a machine that does other work its figures say little.
    """
    import sys

    from medcopilot.bench.sandbox import measure
    from medcopilot.bench.show import tell

    document = measure(repeats, backend, lambda what: print(f"measuring: {what}", file=sys.stderr))
    tell(document, json_file)


@app.command("train")
def train(
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder,
                                                   help="rows are added here, one JSON object per line")] = None,
    table: Annotated[Path | None, typer.Option(help="print the rows of this file as Markdown")] = None,
    only: Annotated[str, typer.Option(help="stages: sft, dpo, grpo, ppo; default: all")] = "",
    size: Annotated[str, typer.Option(help="0.5b, 1.5b, 3b, 7b, 14b; default: 7b, for PPO 3b too")] = "",
    option: Annotated[str, typer.Option(help="base, lora=on, checkpointing=off, ...; default: all")] = "",
    tiny: Annotated[bool, typer.Option("--tiny", help="toy width and short rows, on a CPU too")] = False,
    steps: Annotated[int, typer.Option(help="measured steps of every case", min=1)] = 5,
    warm: Annotated[int, typer.Option(help="steps before them", min=0)] = 2,
) -> None:
    """Update steps of SFT, DPO, GRPO and PPO on one GPU: random weights at Qwen2.5's shapes, bf16.

    Tokens/s, MFU, seconds per step and peak memory, with and without each option. Rows that the file has are not measured again.
    The same without this command line's packages: `python -m medcopilot.bench.train`.
    """
    from medcopilot.bench.train.__main__ import main

    where = ["--json", str(json_file)] if json_file is not None else []
    chosen = [word for name, value in (("--only", only), ("--size", size), ("--option", option)) if value for word in (name, value)]
    code = main([*where, *(["--table", str(table)] if table is not None else []), *chosen, *(["--tiny"] if tiny else []),
                 "--steps", str(steps), "--warm", str(warm)])
    if code:
        raise typer.Exit(code)


@app.command("packing")
def packing(
    turns: Annotated[int, typer.Option(help="turns of every kind of batch, about 2,048 tokens each", min=3)] = 20,
    rows: Annotated[Path | None, typer.Option(help="SFT rows to take the lengths from; default: those of the demo")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write the measurements here")] = None,
) -> None:
    """Non-padding tokens per second of SFT steps on packed and on padded batches, on the CPU.

    `medcopilot bench packing --json FILE` takes about a minute. Threads: `OMP_NUM_THREADS`.
    """
    from medcopilot.bench.packing import measure
    from medcopilot.bench.show import tell

    document = measure(turns, rows)
    tell(document, json_file)


@app.command("rollout")
def rollout(
    engine: Annotated[str, typer.Option(help="of the utilisation: transformers, or vllm (a server started here)")] = "transformers",
    episodes: Annotated[int, typer.Option(help="episodes of the utilisation; half as many beside TRL's loop", min=2)] = 256,
    rounds: Annotated[int, typer.Option(help="rounds of the utilisation's three arms", min=1)] = 3,
    groups: Annotated[int, typer.Option(help="groups of eight rollouts in a step of GRPO", min=1)] = 10,
    steps: Annotated[int, typer.Option(help="GRPO steps counted per turn of each mode", min=1)] = 5,
    switch: Annotated[float, typer.Option(help="milliseconds for which one thread may keep the interpreter from another",
                                          min=0.01)] = 5.0,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write the measurements here")] = None,
) -> None:
    """How busy episodes keep the engine, episodes per second beside TRL's tool loop, and what one round ahead gains.

    `medcopilot bench rollout --json FILE` takes about seven minutes on two quiet cores. Threads: `OMP_NUM_THREADS`, else one.
    """
    import sys

    sys.setswitchinterval(switch / 1000)
    from env.errors import UserError
    from medcopilot.bench.rollout import Sizes, measure
    from medcopilot.bench.show import show_aims, tell

    if engine not in ("transformers", "vllm"):
        raise UserError(f"--engine {engine!r}: choose transformers or vllm")
    document = measure(Sizes(episodes=episodes, rounds=rounds, groups=groups, steps=steps), engine=engine,  # type: ignore[arg-type]
                       say=lambda line: print(line, file=sys.stderr, flush=True))
    tell(document, json_file)
    show_aims(document)


@app.command("sampling")
def sampling(
    tasks: Annotated[int, typer.Option(help="tasks of each of two datasets", min=2)] = 200,
    rounds: Annotated[int, typer.Option(help="rounds of both arms", min=1)] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write the measurements here")] = None,
) -> None:
    """A scripted policy's executions per second, beside the same programs in bare boxes.

    `medcopilot bench sampling --json FILE` takes about a minute.
    """
    from medcopilot.bench.sampling import measure
    from medcopilot.bench.show import tell

    document = measure(tasks, rounds)
    tell(document, json_file)


@app.command("statistics")
def statistics(
    repeats: Annotated[int, typer.Option(help="times that each is measured", min=1)] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write the measurements here")] = None,
) -> None:
    """Cluster bootstraps and curves over K on 3,500 made-up tasks.

    `medcopilot bench statistics --json FILE` takes about half a minute. Threads: `OMP_NUM_THREADS`.
    """
    from medcopilot.bench.show import tell
    from medcopilot.bench.statistics import measure

    document = measure(repeats)
    tell(document, json_file)


@app.command("report")
def report(
    traces: Annotated[int, typer.Option(help="episodes in all", min=8)] = 10_000,
    megabytes: Annotated[int, typer.Option(help="of their shards together", min=1)] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", callback=no_folder, help="also write the measurements here")] = None,
) -> None:
    """The report of many made-up traces (seconds, processor seconds, peak memory), and how soon the viewer shows them.

    Aims: 10,000 traces in 20 s and 1 GiB; the viewer's first paint of a gigabyte in a second.

    `medcopilot bench report --json FILE` takes about three minutes and a gigabyte of the temporary folder.
    """
    import sys

    from medcopilot.bench.report import measure
    from medcopilot.bench.show import tell

    document = measure(traces, megabytes, lambda what: print(f"measuring: {what}", file=sys.stderr))
    tell(document, json_file)
