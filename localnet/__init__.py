"""A whole market on one machine, started through the nodes' own command lines."""

from localnet.market import LocalMarket, MarketPlan

__all__ = ["LocalMarket", "MarketPlan"]
