"""Text to tokens: one file a kind of tokenizer, or of the files that hold one."""
