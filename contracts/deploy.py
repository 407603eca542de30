"""Deploy a market and write its address book: `python -m contracts.deploy --help`."""

import argparse
import asyncio
import json
import os
import sys
from dataclasses import fields
from pathlib import Path

from eth_account import Account

from contracts.addressbook import AddressBook
from contracts.auction_values import AuctionTerms
from contracts.chain import Chain
from contracts.deployment import (
    DEFAULT_AUCTION,
    DeploymentPlan,
    Roles,
    deploy,
    is_deployed,
    load_plan,
    save_plan,
    verify_history,
)
from contracts.errors import ChainError, DeploymentError
from contracts.transactions import TxSender
from relay_mining import Address, Clock, Params

LOCAL_CHAIN_ID = 31337
DEFAULT_PARAMS = Params(
    members=5,
    target_leaves=4096,
    margin_bps=12_000,
    bond_ratio_max=20,
    protocol_bps=100,
    lot_stake=100 * 10**6,
    lots_max=100,
    idle_epochs=8,
    delegation_fee=5 * 10**6,
    min_stake=100 * 10**6,
    roster_max=64,
)
EXAMPLE = """\
example, on a local chain with short sessions:
  anvil --hardfork prague --block-time 1 &
  python -m contracts.deploy --rpc http://127.0.0.1:8545 --out addressbook.json \\
    --key 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80 \\
    --session-blocks 12 --seed-offset 2 --epoch-sessions 2

A run that was cut off goes on where it stopped; a finished one changes nothing.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 1 refused."""
    options = _parser().parse_args(arguments)
    try:
        book, is_new = asyncio.run(_run(options))
    except (ChainError, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(_report(options, book, "deployed" if is_new else "already deployed"))
    return 0


def _report(options: argparse.Namespace, book: AddressBook, status: str) -> str:
    shown = {name: "0x" + address.hex() for name, address in book.contracts().items()}
    if options.json:
        return json.dumps({"status": status, "addressBook": str(options.out)} | shown) + "\n"
    lines = [f"{status} on chain {book.chain_id}; address book: {options.out}"]
    lines += [f"  {name:<11} {address}" for name, address in shown.items()]
    return "\n".join(lines) + "\n"


async def _run(options: argparse.Namespace) -> tuple[AddressBook, bool]:
    """The book, and whether anything was deployed for it."""
    plan_path = options.out.with_name(options.out.name + ".plan")
    async with await Chain.connect(options.rpc, options.chain_id) as chain:
        await verify_history(chain)
        if options.out.exists():
            book = AddressBook.load(options.out)
            if await is_deployed(chain, book):
                return book, False
            raise DeploymentError(
                f"{options.out} is of another deployment, or its chain is gone: remove it first"
            )
        sender = TxSender(chain, _read_key(options, chain.chain_id))
        plan = load_plan(plan_path) or await _plan(options, chain, sender.address)
        if (plan.chain_id, plan.deployer) != (chain.chain_id, sender.address):
            raise DeploymentError(f"{plan_path} is of another chain or key: remove it first")
        save_plan(plan, plan_path)
        book = await deploy(sender, chain, plan)
    book.save(options.out)
    plan_path.unlink()
    return book, True


async def _plan(options: argparse.Namespace, chain: Chain, deployer: Address) -> DeploymentPlan:
    if options.token is None and chain.chain_id != LOCAL_CHAIN_ID and not options.test_token:
        raise DeploymentError("name the token with --token, or ask for --test-token")
    head = (await chain.head()).number
    genesis = head if options.genesis_block is None else options.genesis_block
    return DeploymentPlan(
        chain_id=chain.chain_id,
        deployer=deployer,
        first_nonce=await chain.nonce(deployer, with_pending=True),
        deployment_block=head,
        clock=Clock(genesis, options.session_blocks, options.seed_offset, options.epoch_sessions),
        params=Params(**_chosen(options, Params)),
        roles=Roles(
            admin=options.admin or deployer,
            pauser=options.pauser or options.admin or deployer,
            treasury=options.treasury or options.admin or deployer,
            timelock_delay_s=options.timelock_delay,
        ),
        token=options.token,
        auction=AuctionTerms(**_chosen(options, AuctionTerms)),
    )


def _read_key(options: argparse.Namespace, chain_id: int) -> bytes:
    """The deploying key; in the clear only on a local chain, as arguments are seen by others."""
    if options.keystore is not None:
        password = os.environ.get("DEPLOY_PASSWORD")
        if options.password_file is not None:
            password = options.password_file.read_text().rstrip("\r\n")
        if password is None:
            raise DeploymentError("give --password-file, or set DEPLOY_PASSWORD")
        return bytes(Account.decrypt(options.keystore.read_text(), password))
    if chain_id != LOCAL_CHAIN_ID:
        raise DeploymentError("--key is for local chains: use --keystore")
    return bytes.fromhex(options.key.removeprefix("0x"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m contracts.deploy",
        description="Deploy a market's contracts and write its address book.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--rpc", action="append", required=True, help="JSON-RPC endpoint; may be repeated")
    add("--chain-id", type=int, help="refuse any other chain")
    add("--out", type=Path, default=Path("addressbook.json"), help="default: %(default)s")
    add("--json", action="store_true", help="print one JSON object")
    _add_key(parser)
    _add_market(parser)
    _add_numbers(parser, "parameters of the first epochs", DEFAULT_PARAMS)
    _add_numbers(parser, "terms of the auction", DEFAULT_AUCTION)
    return parser


def _add_numbers(
    parser: argparse.ArgumentParser, title: str, defaults: Params | AuctionTerms
) -> None:
    group = parser.add_argument_group(title)
    for each in fields(defaults):
        flag, value = "--" + each.name.replace("_", "-"), getattr(defaults, each.name)
        group.add_argument(flag, type=int, default=value, help="default: %(default)s")


def _chosen(options: argparse.Namespace, kind: type[Params] | type[AuctionTerms]) -> dict[str, int]:
    return {each.name: getattr(options, each.name) for each in fields(kind)}


def _add_key(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("deploying key")
    key = group.add_mutually_exclusive_group(required=True)
    key.add_argument("--keystore", type=Path, help="encrypted JSON key file")
    key.add_argument("--key", help="private key in hex; local chains (31337) only")
    group.add_argument("--password-file", type=Path, help="the keystore's; or set DEPLOY_PASSWORD")


def _add_market(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("market")
    add = group.add_argument
    add("--session-blocks", type=int, default=1800, help="default: %(default)s")
    add("--seed-offset", type=int, default=30, help="default: %(default)s")
    add("--epoch-sessions", type=int, default=24, help="default: %(default)s")
    add("--genesis-block", type=int, help="first block of session 0; default: the newest block")
    add("--token", type=_address, help="the ERC-20; default on a local chain: a test token")
    add("--test-token", action="store_true", help="deploy a test token on any chain")
    add("--admin", type=_address, help="proposes to the timelock; default: the deploying key")
    add("--pauser", type=_address, help="may stop new sessions; default: the admin")
    add("--treasury", type=_address, help="receives the protocol's shares; default: the admin")
    add("--timelock-delay", type=int, default=172_800, help="seconds; default: %(default)s")


def _address(text: str) -> Address:
    value = bytes.fromhex(text.removeprefix("0x"))
    if len(value) != 20:
        raise ValueError(f"{text} is no address")
    return value


if __name__ == "__main__":
    sys.exit(main())
