"""From an answer to its receipt, and from receipts to the claims of the chain."""
