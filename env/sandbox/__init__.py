"""Isolated places that run agent code."""
