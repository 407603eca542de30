"""Proving for a node that does not: a claim still open late in its window is proved from a bundle.

Anyone may prove or settle a claim, and the contract pays the supplier; the gas is the watchtower's.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from contracts import Call, ChainError, Challenge, Sender
from relay_mining import Address, Claim, Clock, Domain, RelayMiningError, SessionKey, Window
from supplier.mining.bundles import BrokenBundleError, Bundle, BundleFolder, read_bundle
from supplier.mining.chain_view import ChainView
from supplier.mining.miner import Miner
from supplier.mining.settlement import (
    Action,
    OpenSession,
    PlanParams,
    Prove,
    Settle,
    Stage,
    WriteSeed,
    last_block,
    plan,
)

log = logging.getLogger(__name__)

PERCENT = 100
ONLY_CLAIMED = PlanParams(claim_delay_blocks=0, value_min=0)


def patience_ends(window: Window, patience_percent: int) -> int:
    """The block of a proof window from which on a watchtower acts, rounded down."""
    return window.opens + (window.closes - window.opens) * patience_percent // PERCENT


def plan_watch(
    open_sessions: Iterable[OpenSession], block: int, clock: Clock, patience_percent: int
) -> list[Action]:
    """List what to send in `block` for claims whose node has had its time.

    A claim whose proof was missed is left to its node: nobody else gains from voiding it.
    """
    late: list[OpenSession] = []
    for each in open_sessions:
        window = clock.proof_window(each.key.number)
        is_lost = each.points != 0 and block >= window.closes
        if block >= patience_ends(window, patience_percent) and not is_lost:
            late.append(each)
    return plan(late, block, clock, ONLY_CLAIMED)


def keep_provable(bundle: Bundle, domain: Domain) -> Bundle:
    """A bundle with those of its claims that its receipts make; raises BrokenBundleError for none.

    Many may write to the folder, and claims are public: without this, one bundle of another's claim
    would stand in the way of the right one, or end the watchtower.
    """
    supplier = bundle.claims[-1].supplier
    try:
        trie, _ = Miner(supplier, domain, bundle).trie(bundle)
    except (RelayMiningError, ValueError) as error:
        raise BrokenBundleError(f"its receipts make no claim: {error}") from error
    claims = tuple(
        each for each in bundle.claims if (each.supplier, each.root) == (supplier, trie.root)
    )
    if not claims or not trie.root.sum:
        raise BrokenBundleError("its receipts are not those of its claim")
    return replace(bundle, claims=claims)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A bundle whose claim is open, and what the chain asks of it."""

    bundle: Bundle
    claim: Claim
    challenge: Challenge

    @property
    def session(self) -> OpenSession:
        """How far it is."""
        points = None if self.challenge.seed is None else self.challenge.points
        return OpenSession(self.claim.session, Stage.CLAIMED, self.claim.value, points)


class Watchtower:
    """Watches the claims of a folder of bundles; runs until cancelled."""

    def __init__(
        self, view: ChainView, sender: Sender, folder: BundleFolder, patience_percent: int
    ) -> None:
        self._view = view
        self._market = view.market
        self._sender = sender
        self._folder = folder
        self._patience_percent = patience_percent
        self._bundles: dict[Path, tuple[int, Bundle | None]] = {}
        """By file, with the time it was last changed; None for one that is no bundle."""
        self.proved = 0
        """Claims paid by this watchtower's own transactions."""

    async def run(self) -> None:
        """Look at every head, and do one after another what is due."""
        async for head in self._view.heads():
            await self.step(head)

    async def step(self, head: int) -> None:
        """Prove and settle what is late at one head; what fails is due again at the next."""
        found: dict[Address, dict[SessionKey, _Watched]] = {}
        for bundle in await asyncio.to_thread(self._read):
            try:
                watched = await self._look(bundle, head)
            except ChainError as error:
                log.warning("a claim could not be looked at: %s", error)
                continue
            if watched is not None:
                claim = watched.claim
                found.setdefault(claim.supplier, {})[claim.session] = watched
        for mine in found.values():
            await self._work(mine, head)

    async def _work(self, found: dict[SessionKey, _Watched], head: int) -> None:
        """Do what is late of one supplier's."""
        states = [each.session for each in found.values()]
        for action in plan_watch(states, head, self._view.clock, self._patience_percent):
            try:
                await self._perform(action, found)
            except ChainError as error:  # its node may just have done it
                log.warning("%s failed: %s", type(action).__name__, error)

    def _read(self) -> list[Bundle]:
        """The bundles that prove something; a file is judged again only when it has changed."""
        seen: dict[Path, tuple[int, Bundle | None]] = {}
        for path in self._folder.files():
            try:
                changed = path.stat().st_mtime_ns
                before = self._bundles.get(path)
                if before is not None and before[0] == changed:
                    seen[path] = before
                    continue
                seen[path] = changed, keep_provable(read_bundle(path), self._market.domain)
            except FileNotFoundError:
                continue  # its node is done with it
            except OSError as error:
                log.warning("a bundle cannot be read now: %s", error)
            except BrokenBundleError as error:
                log.warning("a bundle cannot be used: %s", error)
                seen[path] = changed, None
        self._bundles = seen
        return [bundle for _, bundle in seen.values() if bundle is not None]

    async def _look(self, bundle: Bundle, head: int) -> _Watched | None:
        """The claim of a bundle that is open on the chain; None before its proof window."""
        if head < self._view.clock.proof_window(bundle.facts.key.number).opens:
            return None
        claims = self._market.claims
        for claim in reversed(bundle.claims):
            if await claims.is_open(claim, block=head):
                return _Watched(bundle, claim, await claims.challenge(claim, block=head))
        return None

    async def _perform(self, action: Action, found: dict[SessionKey, _Watched]) -> None:
        last = last_block(action, self._view.clock)
        match action:
            case Prove(session):
                call = await asyncio.to_thread(self._prove, found[session])
                await self._sender.send(call, last_block=last)
                self.proved += 1
                log.info("proved for a node that did not", extra={"session": session.id})
            case Settle(sessions):
                call = self._market.claims.settle([found[each].claim for each in sessions])
                await self._sender.send(call, last_block=last)
            case WriteSeed(number):
                await self._sender.send(self._market.sessions.write_seed(number), last_block=last)

    def _prove(self, watched: _Watched) -> Call:
        bundle, claim, challenge = watched.bundle, watched.claim, watched.challenge
        assert challenge.seed is not None, "points are known of a known challenge only"
        miner = Miner(claim.supplier, self._market.domain, bundle)
        leaves = miner.proof(bundle, challenge.seed, challenge.points)
        return self._market.claims.prove(claim, bundle.salt, leaves)
