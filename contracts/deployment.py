"""Deploying the contracts: addresses known beforehand, each step skipped where it is done.

Registry, Escrow and Claims name each other in their constructors, so their addresses are computed
before anything is sent: a CREATE address depends on the sender and its nonce alone. The plan is
kept in a file beside the address book until the book is written; a run that was cut off goes on.
"""

import json
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import rlp  # type: ignore[import-untyped]

from contracts.abi import load_abi
from contracts.addressbook import AddressBook
from contracts.auction_values import AuctionTerms
from contracts.chain import Call, Chain
from contracts.errors import DeploymentError, HistoryMissingError
from contracts.parameters import encode_params
from contracts.transactions import TxSender
from relay_mining import Address, Clock, Params, keccak

DEFAULT_AUCTION = AuctionTerms()

HISTORY = bytes.fromhex("0000F90827F1C53a10cb7A02335B175320002935")
"""EIP-2935's contract, which holds the hashes of the last 8191 blocks."""

STEPS = (
    "TestToken",
    "Timelock",
    "Parameters",
    "Registry",
    "Escrow",
    "Sessions",
    "Claims",
    "Auction",
)
"""Artifacts in the order of their deployment; the first is left out where a token is given."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Who governs the market."""

    admin: Address
    """Proposes and executes through the timelock, after its delay."""
    pauser: Address
    """May stop new sessions at once."""
    treasury: Address
    """Receives the protocol's shares."""
    timelock_delay_s: int


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """Everything that decides the addresses and the constructors' arguments."""

    chain_id: int
    deployer: Address
    first_nonce: int
    deployment_block: int
    clock: Clock
    params: Params
    roles: Roles
    token: Address | None
    """An ERC-20 that exists; None deploys the test token."""
    auction: AuctionTerms = DEFAULT_AUCTION

    @property
    def steps(self) -> tuple[str, ...]:
        """Artifacts to deploy, in order."""
        return STEPS if self.token is None else STEPS[1:]

    def address(self, contract: str) -> Address:
        """Where a step's contract will be."""
        return compute_create_address(self.deployer, self.first_nonce + self.steps.index(contract))

    def book(self) -> AddressBook:
        """The address book of the finished deployment."""
        return AddressBook(
            chain_id=self.chain_id,
            deployment_block=self.deployment_block,
            registry=self.address("Registry"),
            escrow=self.address("Escrow"),
            sessions=self.address("Sessions"),
            claims=self.address("Claims"),
            parameters=self.address("Parameters"),
            timelock=self.address("Timelock"),
            token=self.token or self.address("TestToken"),
            auction=self.address("Auction"),
        )

    def encode(self) -> dict[str, object]:
        """The plan as a JSON document."""
        return _jsonable(asdict(self))

    def init_code(self, contract: str) -> bytes:
        """A step's code and constructor arguments."""
        return load_abi(contract).encode_deployment(*self._arguments(contract))

    def _arguments(self, contract: str) -> tuple[object, ...]:
        book, roles, clock = self.book(), self.roles, self.clock
        return {
            "TestToken": (),
            "Timelock": (roles.timelock_delay_s, [roles.admin], [roles.admin], bytes(20)),
            "Parameters": (
                (
                    clock.genesis_block,
                    clock.session_blocks,
                    clock.seed_offset,
                    clock.epoch_sessions,
                ),
                encode_params(self.params),
                book.timelock,
                roles.pauser,
                roles.treasury,
            ),
            "Registry": (book.parameters, book.token, book.escrow, book.claims),
            "Escrow": (book.parameters, book.token, book.registry, book.claims),
            "Sessions": (book.parameters, book.registry, book.escrow),
            "Claims": (book.parameters, book.registry, book.escrow, book.sessions),
            "Auction": (book.sessions, astuple(self.auction)),
        }[contract]


_NESTED = (
    ("clock", Clock),
    ("params", Params),
    ("roles", Roles),
    ("auction", AuctionTerms),
)


def decode_plan(document: dict[str, object]) -> DeploymentPlan:
    """The plan in a JSON document (KeyError, TypeError or ValueError if it is none)."""
    values = {name: _from_json(value) for name, value in document.items()}
    for name, kind in _NESTED:
        values[name] = kind(**values[name])  # type: ignore[arg-type]
    return DeploymentPlan(**values)  # type: ignore[arg-type]


def compute_create_address(sender: Address, nonce: int) -> Address:
    """Where a contract lands that `sender` creates with its transaction `nonce`."""
    return keccak(rlp.encode([sender, nonce]))[12:]


async def deploy(sender: TxSender, chain: Chain, plan: DeploymentPlan) -> AddressBook:
    """Carry out what is left of a plan, and return the book.

    Raises:
        HistoryMissingError: the chain lacks EIP-2935's contract.
        DeploymentError: the key sent something else meanwhile, so the addresses are lost.
    """
    await verify_history(chain)
    for step, contract in enumerate(plan.steps):
        if await chain.code(plan.address(contract)):
            continue
        nonce = plan.first_nonce + step
        if await chain.nonce(sender.address, with_pending=True) != nonce:
            raise DeploymentError(
                f"the deploying key has sent other transactions since {contract} was planned:"
                " remove the plan beside the address book to start over"
            )
        receipt = await sender.send(Call(None, plan.init_code(contract)))
        if receipt.contract_address != plan.address(contract):
            raise DeploymentError(f"{contract} landed at another address than planned")
    return plan.book()


async def verify_history(chain: Chain) -> None:
    """Check that the chain keeps block hashes as EIP-2935 says (HistoryMissingError)."""
    if not await chain.code(HISTORY):
        raise HistoryMissingError(
            f"chain {chain.chain_id} has no code at 0x{HISTORY.hex()} (EIP-2935):"
            " the market needs a chain with the Prague rules or later"
        )


async def is_deployed(chain: Chain, book: AddressBook) -> bool:
    """Whether every contract of a book has code."""
    if chain.chain_id != book.chain_id:
        return False
    for address in book.contracts().values():
        if not await chain.code(address):
            return False
    return True


def save_plan(plan: DeploymentPlan, path: Path) -> None:
    """Write a plan as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plan.encode(), indent=2) + "\n")


def load_plan(path: Path) -> DeploymentPlan | None:
    """Read a plan; None where there is none (DeploymentError if it is malformed)."""
    if not path.exists():
        return None
    try:
        return decode_plan(json.loads(path.read_text()))
    except (KeyError, TypeError, ValueError) as error:
        raise DeploymentError(f"the plan at {path} is malformed: remove it") from error


def _jsonable(value: dict[str, object]) -> dict[str, object]:
    return {
        name: _jsonable(each)
        if isinstance(each, dict)
        else "0x" + each.hex()
        if isinstance(each, bytes)
        else each
        for name, each in value.items()
    }


def _from_json(value: object) -> object:
    if isinstance(value, dict):
        return {name: _from_json(each) for name, each in value.items()}
    if isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x"))
    return value
