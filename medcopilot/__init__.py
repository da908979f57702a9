"""Med-Copilot: the agent, its rollouts, its training and its evaluation."""

__version__ = "0.1.0"
