"""From the arrays of a dump, in anybody's order of axes, to what is wanted and what was found."""
