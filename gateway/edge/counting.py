"""Counting a tail again, from its request alone; and computing some again, to see who lies.

The counts follow from exit and cut. What a supplier could still do is answer anything at all, so a
drawn share of the answers is computed again here, where nobody waits for it. A wrong answer is paid
nothing and is evidence: request, answer and signature say together what was computed.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import orjson

from edge import (
    MalformedActivationError,
    MultiExitNetwork,
    TailRequest,
    count_tail,
    parse_answer,
    parse_network,
    read_answer,
    read_request,
    run_tail,
    verify_request,
)
from gateway.api.openai import PromptOverhead
from gateway.settlement.counting import UNKNOWN, Count, CountJob
from pricing import Network
from relay_mining import Hash32, RecountError

PPM = 10**6
CLOSE = 1e-3
"""Of the largest number of an answer: other processors round otherwise, no more than so."""
WRONG = Count(0, 0, 0, 0)
NO_PROMPT = PromptOverhead(0, 0)


@dataclass(frozen=True, slots=True)
class TailFiles:
    """What a service of tails is counted with: its verified network, and how much is audited."""

    service: Hash32
    network: bytes
    profile: Network
    """As the spec states it."""
    audit_ppm: int


@dataclass(frozen=True, slots=True)
class TailCounter:
    """Counts the tails of one service; raises RecountError for a network that is not the spec's."""

    files: TailFiles
    draw: Callable[[int], int] = secrets.randbelow
    network: MultiExitNetwork = field(init=False)

    def __post_init__(self) -> None:
        try:
            network = parse_network(self.files.network)
        except ValueError as error:
            raise RecountError(f"the service's network does not load: {error}") from error
        if network.profile() != self.files.profile:
            raise RecountError("the service's network has another profile than its spec states")
        object.__setattr__(self, "network", network)

    def measure_overhead(self) -> PromptOverhead:
        """Nothing: there is no prompt."""
        return NO_PROMPT

    def count(self, job: CountJob) -> Count:
        """What a tail took; nothing for an answer that is none, or is found to be wrong."""
        try:
            request = read_request(orjson.loads(job.body))
            verify_request(self.files.profile, request)
        except MalformedActivationError:
            return UNKNOWN
        is_audited = self.draw(PPM) < self.files.audit_ppm
        if not self._is_answer(request, job.answer, is_audited):
            return WRONG
        use = count_tail(self.files.profile, request.way_out, request.cut)
        return Count(use.input_bytes, use.input_bytes, use.work_kflop, use.work_kflop)

    def _is_answer(self, request: TailRequest, answer: bytes, is_audited: bool) -> bool:
        try:
            said = read_answer(orjson.loads(answer))
        except ValueError:
            return False
        if not is_audited:
            return True
        try:
            numbers = run_tail(self.network, request.message)
        except MalformedActivationError:
            return False  # an honest engine refuses what overflows
        own = parse_answer(self.network, request.way_out, numbers)
        if len(said.logits) != len(own):
            return False
        margin = CLOSE * max(1.0, float(np.abs(own).max()))
        return bool(np.abs(np.array(said.logits) - own).max() <= margin)
