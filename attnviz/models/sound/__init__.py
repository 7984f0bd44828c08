"""Sounds in, what a model of speech reads out."""
