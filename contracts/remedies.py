"""What each error of the contracts asks of its caller: the decision (its class) and the remedy."""

from contracts.errors import ContractError

REMEDIES: dict[str, tuple[type[ContractError], str]] = {}
