"""The tail of a cut network: activations in, the numbers of an exit out.

Run it with `python -m supplier.engines.embedded DIRECTORY`, which tells by the model's type what
a directory is served as.
"""
