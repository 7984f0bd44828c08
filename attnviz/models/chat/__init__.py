"""Conversations, as a checkpoint's own template writes them."""
