"""What of a gateway's settings can change while it serves, and who takes it up."""

import asyncio
from collections.abc import Callable, MutableMapping

from gateway.keys import load_missing
from gateway.routing.relaying import Relays
from gateway.settings import RelaySettings, Settings
from node.reloading import Reloader, Target
from relay_mining import Address, Signer

Reload = Callable[[Settings], None]
ROUTING = ("policy", "explore_share", "owner_share_max")
TIMEOUTS = (
    "connect_s", "first_byte_s", "stall_s", "total_s", "cancel_s", "prompt_bytes_per_s",
    "answer_tokens_per_s",
)  # fmt: skip


def open_reloader(
    settings: Settings,
    reread: Callable[[], Settings],
    relays: Relays,
    keyring: MutableMapping[Address, Signer],
    chain_id: int,
    name_models: Reload,
) -> Reloader[Settings]:
    """Applies new settings to the parts of a running gateway; a key is added, none taken away."""
    dispatcher = relays.dispatcher

    def take_routing(new: Settings) -> None:
        dispatcher.router.set(new.relays.routing())

    def take_timeouts(new: Settings) -> None:
        dispatcher.upstream.timeouts = new.relays.timeouts()

    def take_tries(new: Settings) -> None:
        sending: RelaySettings = new.relays
        dispatcher.tries_max, dispatcher.beat_s = sending.tries_max, sending.beat_s
        dispatcher.retries.share = sending.retry_share

    def take_queue(new: Settings) -> None:
        relays.waiting.rules = new.queue.rules()

    async def take_keys(new: Settings) -> None:
        keyring.update(
            await asyncio.to_thread(load_missing, new.keys, chain_id, frozenset(keyring))
        )

    targets: dict[str, Target[Settings]] = {
        **{f"relays.{each}": take_routing for each in ROUTING},
        **{f"relays.{each}": take_timeouts for each in TIMEOUTS},
        **{f"relays.{each}": take_tries for each in ("tries_max", "beat_s", "retry_share")},
        "queue": take_queue,
        "keys": take_keys,
        "models": name_models,
    }
    return Reloader(settings, reread, targets)
