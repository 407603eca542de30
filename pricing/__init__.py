"""Auction mechanisms: pure functions from sealed orders to an outcome."""

from pricing.controls import (
    first_price,
    pay_as_bid,
    rank_excluding_sbba,
)
from pricing.crossing import (
    Quotes,
    Rule,
    Terms,
    quote,
)
from pricing.deviations import (
    Deviation,
    Lies,
    alias,
    best_deviation,
    is_truthful,
    joint_lies,
    price_lies,
    quantity_lies,
    random_lies,
    shill_lies,
    split_lies,
)
from pricing.large_books import (
    Flags,
    Integers,
    LargeBook,
    LargeOutcome,
    clear_large_unit_lots,
)
from pricing.market import (
    Book,
    Fill,
    InvalidBookError,
    Mechanism,
    Order,
    Outcome,
    Side,
    Trader,
    fills_at,
    require_unit_lots,
)
from pricing.mcafee import (
    mcafee,
    mcafee_terms,
)
from pricing.muda import (
    LargeDraw,
    large_muda,
    muda,
)
from pricing.multi_unit_trade_reduction import (
    large_multi_unit_trade_reduction,
    multi_unit_trade_reduction,
)
from pricing.posted_price_vcg import (
    Balance,
    LargeSpot,
    RosterLine,
    balance_at,
    large_posted_price_vcg,
    posted_price_vcg,
    roster,
)
from pricing.price_controllers import (
    StepBound,
    next_base_fee,
    next_price,
)
from pricing.properties import (
    LINEAR,
    Position,
    Utility,
    Values,
    buyer_utility,
    competitive_ratio,
    gains_from_trade,
    is_budget_balanced,
    is_envy_free,
    is_feasible,
    is_individually_rational,
    is_monotone,
    is_without_deficit,
    position,
    seller_utility,
    substitute,
    whole_buyer_utility,
)
from pricing.public_order import (
    in_first_half,
    in_public_order,
    rank,
)
from pricing.sbba import (
    large_sbba,
    sbba,
)
from pricing.trade_reduction import (
    trade_reduction,
    trade_reduction_terms,
)
from pricing.uniform_price import (
    large_uniform_price,
    uniform_price,
)
from pricing.vcg_double_auction import (
    vcg_double_auction,
    vcg_terms,
)
from pricing.vcg_procurement import (
    large_vcg_procurement,
    vcg_procurement,
)

__all__ = [
    "LINEAR",
    "Balance",
    "Book",
    "Deviation",
    "Fill",
    "Flags",
    "Integers",
    "InvalidBookError",
    "LargeBook",
    "LargeDraw",
    "LargeOutcome",
    "LargeSpot",
    "Lies",
    "Mechanism",
    "Order",
    "Outcome",
    "Position",
    "Quotes",
    "RosterLine",
    "Rule",
    "Side",
    "StepBound",
    "Terms",
    "Trader",
    "Utility",
    "Values",
    "alias",
    "balance_at",
    "best_deviation",
    "buyer_utility",
    "clear_large_unit_lots",
    "competitive_ratio",
    "fills_at",
    "first_price",
    "gains_from_trade",
    "in_first_half",
    "in_public_order",
    "is_budget_balanced",
    "is_envy_free",
    "is_feasible",
    "is_individually_rational",
    "is_monotone",
    "is_truthful",
    "is_without_deficit",
    "joint_lies",
    "large_muda",
    "large_multi_unit_trade_reduction",
    "large_posted_price_vcg",
    "large_sbba",
    "large_uniform_price",
    "large_vcg_procurement",
    "mcafee",
    "mcafee_terms",
    "muda",
    "multi_unit_trade_reduction",
    "next_base_fee",
    "next_price",
    "pay_as_bid",
    "position",
    "posted_price_vcg",
    "price_lies",
    "quantity_lies",
    "quote",
    "random_lies",
    "rank",
    "rank_excluding_sbba",
    "require_unit_lots",
    "roster",
    "sbba",
    "seller_utility",
    "shill_lies",
    "split_lies",
    "substitute",
    "trade_reduction",
    "trade_reduction_terms",
    "uniform_price",
    "vcg_double_auction",
    "vcg_procurement",
    "vcg_terms",
    "whole_buyer_utility",
]
