"""Experiments on the protocol and the auctions: seeded, tabulated, plotted."""
