"""Online reinforcement learning: live episodes in, policy updates out. Heavy modules load on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medcopilot.rl.reward import configure, environment_reward, make_environment_reward

__all__ = ["configure", "environment_reward", "make_environment_reward"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from medcopilot.rl import reward

    return getattr(reward, name)
