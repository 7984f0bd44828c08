"""File -> tensors and config: one file a file format."""
