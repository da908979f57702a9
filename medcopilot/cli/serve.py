"""`medcopilot serve`: a vLLM server for rollouts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NAME = "serve"
ROUTES = ("none", "gloo", "nccl", "file", "lora")


def run(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint folder")],
    extra: Annotated[list[str] | None, typer.Argument(help="after `--`: further flags of `vllm serve`")] = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one", min=0, max=65535)] = 8000,
    weight_sync: Annotated[str, typer.Option(help="how a trainer may replace the weights: none, gloo (CPU), nccl (GPU), file, or "
                                                  "lora (adapters)")] = "none",
    dtype: Annotated[str, typer.Option(help="auto (the checkpoint's), float32, bfloat16 or float16")] = "auto",
    lora_rank: Annotated[int, typer.Option(help="with lora: largest rank of an adapter", min=1)] = 64,
    wait: Annotated[float, typer.Option(help="seconds until it must answer", min=1)] = 1800.0,
) -> None:
    """Serve a checkpoint with vLLM, for rollouts of a policy under training or for evaluation. Prints the URL when it answers.

    `medcopilot serve runs/demo/checkpoints/sft --weight-sync gloo` serves on http://127.0.0.1:8000; name that address under
    `engine.servers.urls` of a recipe with `engine.kind: vllm_server`. Stop it with Ctrl-C.

    `medcopilot serve CHECKPOINT --weight-sync nccl -- --tensor-parallel-size 2` passes flags on to `vllm serve`.
    """
    import signal
    import sys

    from env.errors import UserError
    from medcopilot.policies.vllm_launch import VllmProcess

    if weight_sync not in ROUTES:
        raise UserError(f"--weight-sync {weight_sync!r}: choose {', '.join(ROUTES[:-1])} or {ROUTES[-1]}")
    server = VllmProcess.start(checkpoint, host=host, port=port, sync=weight_sync, dtype=dtype, lora_rank=lora_rank,  # type: ignore[arg-type]
                               extra=extra or ())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped below
    try:
        print(server.wait(wait), flush=True)
        code = server.run()
    except KeyboardInterrupt:
        code = 0
    finally:
        server.stop()
    raise typer.Exit(code)
