"""A market of any size on this machine, in one line; Ctrl-C ends it.

    python -m localnet.up --suppliers 5 --cheats inventor

It is in one folder, which is removed at the end. Its file `env` tells other programs where the
market is, the stock `openai` client and `cast` among them: `. .lode/env`.
"""

import argparse
import shlex
import signal
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from adversaries.zoo import SUPPLIERS
from contracts import AddressBook
from localnet.accounts import FIRST_SUPPLIER_ACCOUNT
from localnet.chain import ACCOUNTS
from localnet.market import LocalMarket, MarketPlan, Say
from localnet.provision import MODEL
from node.output import Output

NODES_MAX = (ACCOUNTS - FIRST_SUPPLIER_ACCOUNT) // 2
"""Suppliers and further gateways, each of which has two of the chain's accounts."""
FOLDER = Path(".lode")
ENV_FILE = "env"


def read_environment(market: LocalMarket) -> dict[str, str]:
    """Where everything is, under the names by which other programs look for it."""
    book = AddressBook.load(market.book)
    contracts = {"REGISTRY": book.registry, "CLAIMS": book.claims, "TOKEN": book.token}
    return {
        "OPENAI_BASE_URL": market.base_url,
        "OPENAI_API_KEY": market.api_key,
        "ETH_RPC_URL": market.chain.url,
        "LODE_CONTROL": market.control_url,
        "LODE_BOOK": str(market.book),
        "LODE_SERVICE": "0x" + market.service.hex(),
        **{f"LODE_{name}": "0x" + address.hex() for name, address in contracts.items()},
    }


def write_environment(market: LocalMarket) -> Path:
    """Write `read_environment` as a file for a shell to source; returns its path."""
    path = market.folder / ENV_FILE
    path.touch(mode=0o600)
    values = read_environment(market).items()
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in values))
    return path


def keep(market: LocalMarket, say: Say) -> None:
    """Say how to use the market and leave it up until Ctrl-C, or until a node of it ends."""
    path = write_environment(market)
    for each in market.gateways:
        say(f"URL  {each.base_url}\nkey  {each.api_key}\npage {each.control_url}/\n")
    say(f"env  {path}\n")
    say(
        f"curl {market.base_url}/chat/completions -H 'authorization: Bearer {market.api_key}' "
        f"-H 'content-type: application/json' -d "
        f'\'{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "Hello!"}}]}}\''
    )
    say("the market stays up; Ctrl-C ends it")
    try:
        while market.is_alive():
            time.sleep(1.0)
    except KeyboardInterrupt:
        say("stopping")


def end(number: int, _: FrameType | None) -> NoReturn:
    """Leave as Ctrl-C does, so that no process stays behind; a signal's handler."""
    raise SystemExit(128 + number)


def read_plan(options: argparse.Namespace) -> MarketPlan:
    """The market that was asked for."""
    return MarketPlan(
        suppliers=options.suppliers,
        gateways=options.gateways,
        cheats=tuple(filter(None, options.cheats.split(","))),
        members=options.members,
        block_time_s=options.block_time,
    )


def main(argv: list[str] | None = None) -> None:
    """Start a market and keep it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suppliers", type=int, default=3, help="default 3")
    parser.add_argument("--gateways", type=int, default=1, help="of owners of their own")
    parser.add_argument("--cheats", default="", help="adversaries beside them, joined by commas")
    parser.add_argument("--members", type=int, default=0, help="of a session; default all")
    parser.add_argument("--block-time", type=int, default=1, help="seconds")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"default {FOLDER}")
    options = parser.parse_args(argv)
    plan = read_plan(options)
    if not (plan.roles and plan.gateways > 0):
        parser.error("at least one supplier and one gateway")
    if len(plan.roles) + plan.gateways - 1 > NODES_MAX:
        parser.error(f"at most {NODES_MAX} suppliers, cheats and further gateways together")
    if unknown := set(plan.cheats) - set(SUPPLIERS):
        parser.error(f"no such cheat: {', '.join(sorted(unknown))}")
    if options.folder.exists():
        parser.error(f"{options.folder} exists: a market is up there, or was killed; remove it")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    say = Output().line
    with LocalMarket.start(plan, say, options.folder) as market:
        keep(market, say)


if __name__ == "__main__":
    main()
