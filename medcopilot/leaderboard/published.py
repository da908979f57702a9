"""Published rows, as a reference that strict numbers are not comparable to.

Source: arXiv 2506.04405, per cent: mean of the eight in-distribution datasets, and of the four others where given. They rest
on the released graders, which pay for constants, tracebacks and empty programs (`docs/graders.md`), on the credentialed sources,
and on the protocol that ends an episode at its first correct execution; no seeds or variance are published.
"""

from __future__ import annotations

from typing import NamedTuple

NOTE = ("Published rows (arXiv 2506.04405): the released graders, on the credentialed sources, protocol paper. They stand beside "
        "the column of the paper's grader at most, and are not comparable with strict success on other data.")


class Published(NamedTuple):
    """One published row, fractions."""

    name: str
    in_distribution: float
    out_of_distribution: float | None = None


ROWS = (
    Published("Qwen2.5-14B GRPO", 0.7142, 0.4702),
    Published("gpt-4.1", 0.7015),
    Published("Qwen2.5-14B PPO", 0.6956, 0.3732),
    Published("Qwen2.5-14B SFT+DPO", 0.6637, 0.2791),
    Published("o4-mini", 0.6567),
    Published("Qwen2.5-14B SFT", 0.6392),
    Published("Qwen2.5-7B GRPO", 0.6217, 0.3663),
    Published("gpt-4.1-mini", 0.6172),
    Published("Qwen2.5-7B SFT+DPO", 0.5990, 0.2084),
    Published("Qwen2.5-7B PPO", 0.5796, 0.2287),
    Published("Qwen2.5-7B SFT", 0.5387, 0.2091),
    Published("QwQ-32B", 0.5150),
    Published("Qwen2.5-14B base", 0.2012, 0.2792),
    Published("Qwen2.5-7B base", 0.1689, 0.2060),
)
