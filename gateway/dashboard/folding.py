"""Which event changes what: the table from an event's name to the function that takes it in."""

from collections.abc import Callable, Mapping
from typing import Any

from contracts import Event
from gateway.dashboard import auction_events as auction
from gateway.dashboard import money_events as money
from gateway.dashboard import registry_events as registry
from gateway.dashboard.market_model import MarketModel

TAKES: Mapping[str, Callable[[MarketModel, Event, Mapping[str, Any]], None]] = {
    "ListService": registry.list_service,
    "SetListing": registry.set_listing,
    "RemoveListing": registry.remove_listing,
    "SetRoster": registry.set_roster,
    "RegisterSupplier": registry.register_supplier,
    "AcceptSupplier": registry.accept_supplier,
    "SetOperator": registry.set_operator,
    "SetPayout": registry.set_payout,
    "SetUrl": registry.set_url,
    "SetBondCap": registry.set_bond_cap,
    "Stake": registry.stake,
    "RequestUnstake": registry.request_unstake,
    "FinishUnstake": registry.finish_unstake,
    "SlashBond": registry.slash_bond,
    "Deposit": money.deposit,
    "RequestWithdraw": money.request_withdraw,
    "Refund": money.refund,
    "Delegate": money.delegate,
    "ClaimSubmitted": money.take_outcome,
    "ClaimPaid": money.take_outcome,
    "ClaimVoided": money.take_outcome,
    "WriteSeed": money.write_seed,
    "ScheduleValues": money.schedule_values,
    "SetPaused": money.set_paused,
    "OpenMarket": auction.open_market,
    "OpenRound": auction.open_round,
    "Reveal": auction.reveal,
    "Clear": auction.clear,
}


def apply(model: MarketModel, event: Event) -> None:
    """Take in one event; one that changes nothing shown is passed over."""
    model.reach(event.block_number)
    take = TAKES.get(event.name)
    if take is not None:
        model.version += 1
        take(model, event, event.values)
