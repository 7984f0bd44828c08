"""The numbers: NumPy arrays in, NumPy arrays out. Knows no file, no token and no screen.

Axis names, the same in every docstring: n_head n_kv_head n_q n_k n_token d_model d_k d_v.
Leading axes (a batch, say) are left out of the shapes; every function takes any number of them.
Masks are boolean, True = visible. Layers, heads and positions count from 0.
"""
