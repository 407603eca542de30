from hypothesis import given
from hypothesis import strategies as st

from supplier.mining.facts import decode_facts
from tests.factories import a_session
from tests.supplier.market import facts_of

FACTS = facts_of(a_session(), fee_bps=300)  # the source has 500, the protocol 100


def test_the_log_gives_the_facts_back() -> None:
    assert decode_facts(FACTS.encode()) == FACTS


@given(st.one_of(st.sampled_from([0, 1, 33, 34, 9_999, 10_000, 2**96 - 1]), st.integers(0, 10**9)))
def test_the_net_value_is_what_the_chain_pays_the_supplier(value: int) -> None:
    shares = value * 500 // 10_000 + value * 300 // 10_000 + value * 100 // 10_000
    assert FACTS.net(value) == value - shares
