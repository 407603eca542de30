"""Every adversary by the name of its module: who is let loose when all are."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from adversaries import (
    claimant,
    copier,
    crowd,
    defaulter,
    flooder,
    gateways,
    hoarder,
    inflator,
    inventor,
    leaver,
    mislabeller,
    overclaimer,
    parrot,
    replayer,
    splitter,
    stranger,
    tamperer,
    truncator,
)
from adversaries.cheat import Cheat, Finding
from adversaries.scene import Scene

Script = Callable[[Scene], Awaitable[list[Finding]]]

SUPPLIERS: Mapping[str, Cheat] = MappingProxyType(
    {
        each.__name__.rpartition(".")[2]: each.CHEAT
        for each in (
            inventor,
            inflator,
            copier,
            hoarder,
            replayer,
            splitter,
            defaulter,
            overclaimer,
            tamperer,
            truncator,
            mislabeller,
            parrot,
        )
    }
)
"""Whole suppliers, each a process: `python -m adversaries.NAME`."""

SCRIPTS: Mapping[str, Script] = MappingProxyType(
    {
        each.__name__.rpartition(".")[2]: each.run
        for each in (claimant, stranger, gateways, crowd, leaver, flooder)
    }
)
"""Adversaries that need no node of their own: they use the market's contracts and sockets."""
