"""Whose each of anvil's published accounts is in a local market."""

from localnet.chain import ACCOUNTS, TestAccount, test_account

DEPLOYER, SOURCE = test_account(0), test_account(1)
FIRST_GATEWAY_ACCOUNT = 2
FIRST_SUPPLIER_ACCOUNT = 10


def gateway_owner(number: int = 0) -> TestAccount:
    """The account that owns gateway `number`, and pays as its first application.

    The next one is its signing key's. The first gateway has the same two whatever comes later; the
    others take theirs from the end, where suppliers come last.
    """
    return test_account(ACCOUNTS - 2 * number if number else FIRST_GATEWAY_ACCOUNT)


def gateway_signer(number: int = 0) -> TestAccount:
    """The account that signs for gateway `number`."""
    return test_account(1 + (ACCOUNTS - 2 * number if number else FIRST_GATEWAY_ACCOUNT))


def supplier_owner(number: int) -> TestAccount:
    """The account that owns supplier `number`; the next one is its operator's."""
    return test_account(FIRST_SUPPLIER_ACCOUNT + 2 * number)


def supplier_operator(number: int) -> TestAccount:
    """The account that operates supplier `number`."""
    return test_account(FIRST_SUPPLIER_ACCOUNT + 2 * number + 1)
