"""One file an output format, named like its suffix: its first line is its help, `render` draws."""
