"""Auction mechanisms: pure functions from sealed orders to an outcome."""
