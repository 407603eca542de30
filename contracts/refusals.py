"""What pools say when they do not take a transaction, in the words of the clients there are."""

from contracts.errors import GasFundsError, RpcError


def is_known(error: RpcError) -> bool:
    """Whether the pool has this very transaction."""
    text = error.message.lower()
    return "already known" in text or "already imported" in text or "known transaction" in text


def is_nonce_low(error: RpcError) -> bool:
    """Whether a transaction with this nonce is mined."""
    text = error.message.lower()
    return "nonce too low" in text or "nonce is too low" in text or "oldnonce" in text


def is_underpriced(error: RpcError) -> bool:
    """Whether the pool has another transaction with this nonce that offers as much or more."""
    return "underpriced" in error.message.lower()


def is_fee_low(error: RpcError) -> bool:
    """Whether the next block asks for more than was offered."""
    return "less than block base fee" in error.message.lower()


def is_passing(error: RpcError) -> bool:
    """Whether to look again is all there is to do: it was mined meanwhile, or it is outbid."""
    return is_known(error) or is_nonce_low(error) or is_underpriced(error) or is_fee_low(error)


def translate(error: RpcError) -> Exception:
    """The error by its remedy, where there is one."""
    if "insufficient funds" in error.message.lower():
        return GasFundsError("the sending key cannot pay for the gas: fund its address")
    return error
