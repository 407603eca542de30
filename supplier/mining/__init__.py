"""From receipts to money: the durable log, the books it makes, claims, proofs, settlement."""
