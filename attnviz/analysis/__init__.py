"""Trace -> numbers. Nothing here draws, and nothing writes to a trace."""
