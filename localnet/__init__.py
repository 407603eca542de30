"""A whole market on one machine, started through the nodes' own command lines."""

from localnet.market import EnginePlan, LocalMarket, MarketPlan

__all__ = ["EnginePlan", "LocalMarket", "MarketPlan"]
