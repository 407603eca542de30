"""The profile with a real vLLM on the processor: `TORCH=torch==2.13.0 make test-compose`.

Its image is 2 GB. TORCH is what the image is built with: a requirement, a URL or a wheel.
"""

import os

import openai
import pytest

from localnet.compose import VLLM
from localnet.processes import wait_until
from tests.compose.project import Compose, left_behind, market

SUPPLIER = "supplier-4"
SERVED = f'supplier_funnel_token_base_units_total{{stage="paid",instance="{SUPPLIER}"}}'

pytestmark = [
    pytest.mark.compose,
    pytest.mark.timeout(1800),
    pytest.mark.skipif("TORCH" not in os.environ, reason="TORCH names no torch to build vLLM with"),
]


def test_a_real_vllm_joins_and_is_paid() -> None:
    with market() as (compose, _):
        compose.run("--profile", "vllm-cpu", "up", "--wait", "vllm-cpu", SUPPLIER, timeout_s=1500)

        wait_until(lambda: is_answered(compose), "vLLM does not answer", 400, 2.0)
        wait_until(lambda: is_answered(compose) and compose.query(SERVED) > 0, "not paid", 400, 2.0)
    assert left_behind() == []


def is_answered(compose: Compose) -> bool:
    """Whether the model behind vLLM answers; its service has to be delegated and drawn first."""
    try:
        return "Tokyo" in compose.ask(model=VLLM.name)
    except (openai.NotFoundError, openai.InternalServerError):
        return False
