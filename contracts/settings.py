"""What a node has to be told to reach a market; a part of each node's settings."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from contracts.transactions import SendPolicy
from pricing import QUANTITY_MAX

GWEI = 10**9


class ChainSettings(BaseModel):
    """How to reach the chain; `SUPPLIER_CHAIN__RPC_URLS` and the like set it from outside."""

    rpc_urls: tuple[SecretStr, ...] = Field(
        default=(SecretStr("http://127.0.0.1:8545"),),
        min_length=1,
        description="JSON-RPC endpoints, the preferred one first; they may hold keys",
    )
    address_book: Path = Field(
        default=Path("addressbook.json"), description="written by `python -m contracts.deploy`"
    )
    confirmations: int = Field(
        default=2, ge=0, description="blocks on top of a block that is treated as final"
    )
    timeout_s: float = Field(default=10.0, gt=0, description="deadline of one answer")
    poll_s: float = Field(default=0.5, gt=0, description="seconds between looks at the chain")
    bump_blocks: int = Field(
        default=3, ge=1, description="blocks after which a waiting transaction's fee is raised"
    )
    deadline_s: float = Field(
        default=300.0, gt=0, description="seconds after which a transaction is given up"
    )
    fee_gwei_max: int = Field(default=500, ge=1, description="most that is offered for a gas")

    def urls(self) -> tuple[str, ...]:
        """The endpoints in the clear."""
        return tuple(each.get_secret_value() for each in self.rpc_urls)

    def policy(self) -> SendPolicy:
        """How transactions are sent."""
        return SendPolicy(self.bump_blocks, self.deadline_s, self.poll_s, self.fee_gwei_max * GWEI)


class OrderSettings(BaseModel):
    """An order of every round of a service's auction; a unit is a million compute units."""

    price: int = Field(ge=1, description="token base units a unit")
    quantity: int = Field(ge=1, le=QUANTITY_MAX, description="units an epoch")
