"""Policies: the scripted expert, transformers, vLLM offline, and OpenAI-compatible endpoints."""

from medcopilot.policies.base import ChatReply, ChatSession, Policy, Sampled, Sampling, TokenSession
from medcopilot.policies.load import load_policy

__all__ = ["ChatReply", "ChatSession", "Policy", "Sampled", "Sampling", "TokenSession", "load_policy"]
