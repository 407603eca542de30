"""Experiments on the auctions: which promises hold, and what markets gain under each rule."""
