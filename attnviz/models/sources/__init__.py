"""Where checkpoints lie: a folder, Hugging Face's cache, its hub."""
