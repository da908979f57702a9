"""FLOPs of a decoder's passes, and the peaks of devices, without torch.

Promises: the counting rules that `train.flops` states, as plain arithmetic; the table of dense bfloat16 peaks.
Does not cover: reading a model's shape and counting its tokens while it trains (`train.flops`).
"""

from __future__ import annotations

from typing import NamedTuple

PEAKS = {
    "B200": 2250e12, "GH200": 989.4e12, "H200 NVL": 835.5e12, "H200": 989.4e12, "H100 PCIe": 756.5e12, "H100 NVL": 835.5e12,
    "H100": 989.4e12, "H800": 989.4e12, "A100": 312e12, "A800": 312e12, "L40S": 362.05e12, "A40": 149.7e12, "A10": 125e12,
    "L4": 121e12, "RTX 4090": 165.2e12, "RTX 3090": 71e12,
}
"""FLOP/s, dense bfloat16 with float32 sums, by a part of the device's name, longer names first. NVIDIA's data sheets of each
product (half of the figure "with sparsity" where only that is printed); GeForce: appendix A of the Ada and the Ampere GA102 white
papers."""


class Shape(NamedTuple):
    """What a decoder costs."""

    body: int
    """Weights of its linear layers, the head not among them."""
    body_trained: int
    head: int
    head_trained: int
    attention: int
    """layers x heads x head size"""
    recomputed: bool
    """Under gradient checkpointing."""

    def forward_backward(self, body_tokens: float, head_tokens: float, squares: float, recompute: bool = False) -> float:
        """FLOPs of one forward and backward pass.

        Args:
            body_tokens: tokens that went through the layers.
            head_tokens: those that were projected on the vocabulary.
            squares: sum over sequences of their length squared.
            recompute: with what is computed twice (HFU), where anything is.
        """
        twice = recompute and self.recomputed
        body = 4 * self.body + 2 * self.body_trained + (2 * self.body if twice else 0)
        head = 4 * self.head + 2 * self.head_trained
        return body * body_tokens + head * head_tokens + (16 if twice else 12) * self.attention * squares

    def forward(self, body_tokens: float, head_tokens: float, squares: float) -> float:
        """FLOPs of a pass without gradients; arguments as of `forward_backward`."""
        return 2 * self.body * body_tokens + 2 * self.head * head_tokens + 4 * self.attention * squares


def named_peak(name: str) -> float | None:
    """FLOP/s by the device's name, e.g. `NVIDIA H100 80GB HBM3`; None for what the table lacks."""
    words = f" {name.replace('-', ' ')} "
    found = [key for key in PEAKS if f" {key} " in words and "Laptop" not in words]
    return PEAKS[max(found, key=len)] if found else None
