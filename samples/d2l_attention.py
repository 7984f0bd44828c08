"""The attention example of Dive into Deep Learning (d2l.ai, section 11.3), with attnviz.

Two texts; one query each, of width 20, asks ten keys of width 2, of which only the first 2
(of the first text) or 6 (of the second) are valid. All keys are equal, so the weights are uniform
over the valid keys, whatever the score: the answers are the means of their values,
2 3 4 5 and 10 11 12 13.
"""

from functools import partial

import numpy as np

from attnviz import attend
from attnviz.nn import scores

generator = np.random.default_rng(0)
keys = np.ones((2, 1, 10, 2))  # [n_batch, n_head, n_k, d_k]
values = np.arange(40.0).reshape(1, 1, 10, 4).repeat(2, axis=0)
valid_lengths = np.array([2, 6])
mask = (np.arange(10) < valid_lengths[:, None])[:, None, None, :]  # True = visible

# additive attention takes queries and keys of different widths, here with 8 hidden features
additive = partial(
    scores.additive,
    w_q=generator.normal(size=(8, 20)),
    w_k=generator.normal(size=(8, 2)),
    w_v=generator.normal(size=8),
)
queries = generator.normal(size=(2, 1, 1, 20))
done = attend(queries, keys, values, score=additive, mask=mask)
print("additive, weights")
print(done.weights[:, 0, 0].round(4))
print("additive, context")
print(done.context[:, 0, 0].round(4))

# the scaled dot product needs them of one width
queries = generator.normal(size=(2, 1, 1, 2))
done = attend(queries, keys, values, mask=mask)
print("scaled dot product, context")
print(done.context[:, 0, 0].round(4))
