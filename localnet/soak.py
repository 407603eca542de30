"""The highest load that one machine's market holds, held for long: does anything grow meanwhile?

    python -m localnet.soak                              twenty minutes; what `make soak` runs
    python -m localnet.soak --minutes 60 --suppliers 5
    python -m localnet.soak --rate 16 --minutes 3 --page docs/soak.md

Rates are doubled until one is not held, the gap is halved, and the highest that was held is held
for all the minutes, plain answers and streams mixed. Where a minute is not held after all, it
begins anew with four fifths of the rate. Ends with 1 where nothing was held so long, or the memory
or the descriptors of a gateway or a supplier grow.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from localnet.growth import Growth
from localnet.limits import STEP_COLUMNS, show_step
from localnet.market import LocalMarket, MarketPlan
from localnet.processes import wait_until
from localnet.soaking import Soak, Soaker, Watched
from localnet.up import end
from node.output import Output

PROBE_S = 20.0
SETTLED_S_MAX = 120.0
MIB = 1 << 20
NODE_COLUMNS = (
    "node", "memory MiB, first and last", "MiB an hour (95 %)", "memory",
    "descriptors, first, last, most", "descriptors", "disk MiB an hour",
)  # fmt: skip
PAGE = """# A soak

<!-- generated: `{command}` -->

One machine's market, {suppliers} suppliers with the embedded engine and a gateway, under an open
loop of **{rate:g} requests a second for {minutes:g} minutes**: plain answers, streams, and streams
whose reader leaves. {found} The gateway's ledger over the whole run: {requests}.

{nodes}
Memory is what is resident over all of a node's processes, looked at every two seconds; growth is
fitted to the means of ten stretches after the first quarter of the time, and after as many requests
as a gateway keeps the stories of. *grows*: the interval is above nothing. *flat*: it is not, and
growth of 5 % an hour would have been seen. *not told*: it is not, but it would not. What a node
writes to its disk are its receipts, its usage and its log.

{rows}"""


def settle(market: LocalMarket) -> dict[str, int]:
    """What became of every request, once all that is owed is receipted and acknowledged."""

    def is_settled() -> bool:
        return bool(market.run_gateway("status")["receipts_waiting"] == 0)

    wait_until(is_settled, "receipts were not delivered", SETTLED_S_MAX, 1.0)
    found: dict[str, int] = market.run_gateway("status")["requests"]
    return found


def minute_rows(soak: Soak) -> list[list[object]]:
    """A row for each minute."""
    return [[number, *show_step(each)] for number, each in enumerate(soak.minutes, 1)]


def node_rows(soak: Soak) -> list[list[object]]:
    """A row for each node."""
    return [[name, *_describe(each)] for name, each in soak.nodes.items()]


def _describe(watched: Watched) -> list[object]:
    first, last = watched.looks[0], watched.looks[-1]
    hours = max(watched.at_s[-1] - watched.at_s[0], 1.0) / 3600
    most = max(each.files for each in watched.looks)
    return [
        f"{first.resident_bytes / MIB:.1f}, {last.resident_bytes / MIB:.1f}",
        _show(watched.memory), _verdict(watched.memory),
        f"{first.files}, {last.files}, {most}", _verdict(watched.files),
        f"{(last.disk_bytes - first.disk_bytes) / MIB / hours:.1f}",
    ]  # fmt: skip


def _show(growth: Growth | None) -> str:
    if growth is None:
        return ""
    middle, low, high = (f"{each / MIB:+.1f}" for each in (growth.per_h, growth.low, growth.high))
    return f"{middle} ({low} to {high})"


def _verdict(growth: Growth | None) -> str:
    return "too short" if growth is None else growth.verdict


def write_page(
    soak: Soak, requests: dict[str, int], suppliers: int, minutes: float, rate: float
) -> str:
    """The tables as a page; `rate` is what was asked for, 0 where it was to be found."""
    counts = [f"{count:,} {name.replace('_', ' ')}" for name, count in requests.items()]
    options = f"--suppliers {suppliers} --minutes {minutes:g} --page docs/soak.md"
    options += f" --rate {rate:g}" if rate else ""
    return PAGE.format(
        command=f"python -m localnet.soak {options}", suppliers=suppliers, rate=soak.rate,
        minutes=minutes, requests=", ".join(counts), nodes=_markdown(NODE_COLUMNS, node_rows(soak)),
        found="Every minute was held." if soak.is_held else "**It was not held.**",
        rows=_markdown(("minute", *STEP_COLUMNS), minute_rows(soak)),
    )  # fmt: skip


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def run(options: argparse.Namespace, output: Output) -> int:
    """Start a market, soak it, and say what came of it; 0 where it was held and nothing grew."""
    with LocalMarket.start(MarketPlan(suppliers=options.suppliers), output.line) as market:
        soaker = Soaker(market, output)
        rate = options.rate or asyncio.run(soaker.find_rate(PROBE_S))
        tried = asyncio.run(soaker.soak(rate, options.minutes)) if rate else [Soak(rate)]
        requests, chain = settle(market), market.chain.node.name
    soak = tried[-1]
    grows = [name for name, each in soak.nodes.items() if name != chain and each.grows]
    output.table("Minute by minute", ["minute", *STEP_COLUMNS], minute_rows(soak))
    output.table("The nodes", NODE_COLUMNS, node_rows(soak))
    if options.page:
        page = write_page(soak, requests, options.suppliers, options.minutes, options.rate)
        options.page.write_text(page)
    result = {"held": soak.is_held, "rate": soak.rate, "grows": grows, "requests": requests}
    output.done(result | {"tried": [asdict(each) for each in tried]} if options.json else result)
    return 0 if soak.is_held and not grows else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suppliers", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=20.0, help="for which it is held")
    parser.add_argument("--rate", type=float, default=0.0, help="a second; 0: the highest held")
    parser.add_argument("--page", type=Path, help="write the tables to this file as Markdown")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    options = parser.parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    return run(options, Output(options.json))


if __name__ == "__main__":
    sys.exit(main())
