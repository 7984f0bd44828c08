"""Fuzzers: opt-in, as long as one likes.

    python -m tests.fuzz commands --seconds 60 --seed 1    command lines
    python -m tests.fuzz files --seconds 60 --seed 1       every kind of file that is read, mutated
    python -m tests.fuzz configs --seconds 60 --seed 1     configs of all families, against
                                                           transformers, where it is installed
    python -m tests.fuzz tokenizers --seconds 60 --seed 1  tokenizers of all kinds with random
                                                           settings and texts, against transformers

`--only PATTERN` chooses the files by their path: `--only "tokenizer.*json"`; kinds of
tokenizers by a part of their name.
A finding is printed with what reproduces it; the exit code is 1 if there was any.
"""
