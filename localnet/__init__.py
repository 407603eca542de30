"""A whole market on one machine, started through the nodes' own command lines."""

from localnet.market import LocalMarket, MarketPlan
from localnet.provision import EnginePlan, Terms

__all__ = ["EnginePlan", "LocalMarket", "MarketPlan", "Terms"]
