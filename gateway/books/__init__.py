"""What became of every request: lines of an append-only log, and what is read from them."""
