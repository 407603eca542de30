"""Auction mechanisms: pure functions from sealed orders to an outcome."""

from pricing.aeria import (
    aeria_envy_free,
    aeria_posted,
    aeria_truthful,
)
from pricing.budget_feasible import (
    budget_feasible,
)
from pricing.clearing_proof import (
    ClearingProof,
    ClearingTrees,
    Cover,
    Procurement,
    Sale,
    ask_leaf,
    bid_leaf,
    verify_clearing,
)
from pricing.consensus import (
    Ladder,
    best_base,
)
from pricing.controls import (
    first_price,
    pay_as_bid,
    rank_excluding_sbba,
)
from pricing.core_auction import (
    CORE_RATIO,
    core_auction,
    large_core_auction,
)
from pricing.cost_sharing import (
    best_revenue,
    best_revenue_of_two,
    charge,
    share_cost,
)
from pricing.coupled_clearing import (
    CoupledBook,
    CoupledClearing,
    UnsolvedError,
    clear_coupled,
    compute_bound,
    compute_welfare,
    verify_coupled,
)
from pricing.crossing import (
    Quotes,
    Rule,
    Terms,
    quote,
)
from pricing.deterministic_price import (
    deterministic_price,
)
from pricing.deviations import (
    Deviation,
    Lies,
    alias,
    best_deviation,
    climb,
    gains,
    is_truthful,
    joint_lies,
    price_lies,
    quantity_lies,
    random_lies,
    shill_lies,
    split_lies,
)
from pricing.draws import (
    WORD,
    draw_word,
)
from pricing.edge_benchmarks import (
    edge_sampled_price,
    half_capacity_vickrey,
)
from pricing.edge_market import (
    Admission,
    EdgeOffer,
    UnitPrices,
    admit,
    sell_edge,
)
from pricing.edge_network import (
    Cut,
    Exit,
    Layer,
    Network,
)
from pricing.edge_plan import (
    EdgePlan,
    EdgeTask,
    plan_edge,
)
from pricing.epoch_auction import (
    PRICE_MAX,
    QUANTITY_MAX,
    EpochFill,
    EpochOutcome,
    accepted,
    accepted_balance,
    clear_epoch,
    next_posted_price,
    price_reach,
    reserve_at,
)
from pricing.large_aeria import (
    large_aeria_envy_free,
    large_aeria_posted,
    large_aeria_truthful,
)
from pricing.large_books import (
    Flags,
    Integers,
    LargeBook,
    LargeOutcome,
    clear_large_unit_lots,
    quote_unit_lots,
)
from pricing.large_edge_plan import (
    UNSERVED,
    EdgePlans,
    EdgeTasks,
    large_plan_edge,
)
from pricing.marginal_vickrey import (
    marginal_vickrey,
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
from pricing.profit_extraction import (
    profit_extraction,
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
    worst_envy,
)
from pricing.public_order import (
    in_first_half,
    in_public_order,
    rank,
)
from pricing.reserve import (
    discrete_reserve,
    empirical_reserve,
    exponential_reserve,
    uniform_reserve,
)
from pricing.sampled_price import (
    sampled_price,
)
from pricing.sbba import (
    large_sbba,
    sbba,
)
from pricing.single_price import (
    best_price,
    lower_bound,
    optimal_single_price,
)
from pricing.sorted_sum_tree import (
    ClearingFault,
    InvalidClearingError,
    Leaf,
    Node,
    Opening,
    Sibling,
    SortedSumTree,
    Sums,
    verify_place,
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
from pricing.vickrey import (
    vickrey,
)

__all__ = [
    "CORE_RATIO",
    "LINEAR",
    "PRICE_MAX",
    "QUANTITY_MAX",
    "UNSERVED",
    "WORD",
    "Admission",
    "Balance",
    "Book",
    "ClearingFault",
    "ClearingProof",
    "ClearingTrees",
    "CoupledBook",
    "CoupledClearing",
    "Cover",
    "Cut",
    "Deviation",
    "EdgeOffer",
    "EdgePlan",
    "EdgePlans",
    "EdgeTask",
    "EdgeTasks",
    "EpochFill",
    "EpochOutcome",
    "Exit",
    "Fill",
    "Flags",
    "Integers",
    "InvalidBookError",
    "InvalidClearingError",
    "Ladder",
    "LargeBook",
    "LargeDraw",
    "LargeOutcome",
    "LargeSpot",
    "Layer",
    "Leaf",
    "Lies",
    "Mechanism",
    "Network",
    "Node",
    "Opening",
    "Order",
    "Outcome",
    "Position",
    "Procurement",
    "Quotes",
    "RosterLine",
    "Rule",
    "Sale",
    "Sibling",
    "Side",
    "SortedSumTree",
    "StepBound",
    "Sums",
    "Terms",
    "Trader",
    "UnitPrices",
    "UnsolvedError",
    "Utility",
    "Values",
    "accepted",
    "accepted_balance",
    "admit",
    "aeria_envy_free",
    "aeria_posted",
    "aeria_truthful",
    "alias",
    "ask_leaf",
    "balance_at",
    "best_base",
    "best_deviation",
    "best_price",
    "best_revenue",
    "best_revenue_of_two",
    "bid_leaf",
    "budget_feasible",
    "buyer_utility",
    "charge",
    "clear_coupled",
    "clear_epoch",
    "clear_large_unit_lots",
    "climb",
    "competitive_ratio",
    "compute_bound",
    "compute_welfare",
    "core_auction",
    "deterministic_price",
    "discrete_reserve",
    "draw_word",
    "edge_sampled_price",
    "empirical_reserve",
    "exponential_reserve",
    "fills_at",
    "first_price",
    "gains",
    "gains_from_trade",
    "half_capacity_vickrey",
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
    "large_aeria_envy_free",
    "large_aeria_posted",
    "large_aeria_truthful",
    "large_core_auction",
    "large_muda",
    "large_multi_unit_trade_reduction",
    "large_plan_edge",
    "large_posted_price_vcg",
    "large_sbba",
    "large_uniform_price",
    "large_vcg_procurement",
    "lower_bound",
    "marginal_vickrey",
    "mcafee",
    "mcafee_terms",
    "muda",
    "multi_unit_trade_reduction",
    "next_base_fee",
    "next_posted_price",
    "next_price",
    "optimal_single_price",
    "pay_as_bid",
    "plan_edge",
    "position",
    "posted_price_vcg",
    "price_lies",
    "price_reach",
    "profit_extraction",
    "quantity_lies",
    "quote",
    "quote_unit_lots",
    "random_lies",
    "rank",
    "rank_excluding_sbba",
    "require_unit_lots",
    "reserve_at",
    "roster",
    "sampled_price",
    "sbba",
    "sell_edge",
    "seller_utility",
    "share_cost",
    "shill_lies",
    "split_lies",
    "substitute",
    "trade_reduction",
    "trade_reduction_terms",
    "uniform_price",
    "uniform_reserve",
    "vcg_double_auction",
    "vcg_procurement",
    "vcg_terms",
    "verify_clearing",
    "verify_coupled",
    "verify_place",
    "vickrey",
    "whole_buyer_utility",
    "worst_envy",
]
