"""Config and tensors -> a model. `families` has one file an architecture."""
