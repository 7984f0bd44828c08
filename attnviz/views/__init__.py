"""Trace or numbers -> views: what is shown, in what order, on what scale. `kinds` lists what can
be drawn; the other files make such views of what a command found."""
