"""Sentence embeddings on the CPU: a BERT in NumPy, mean-pooled and normalised, over OpenAI's HTTP.

Run it with `python -m supplier.engines.embedded DIRECTORY`, which tells by the model's type what
a directory is served as.
"""
