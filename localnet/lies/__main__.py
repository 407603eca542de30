"""Lies in a running market: `make demo-lies`.

A supplier and a buyer lie in five auctioned services at once, each in its own way, beside truthful
traders; in a sixth they tell the truth and another supplier sells and does not serve. What each
lie gained is computed from the chain.

    python -m localnet.lies                          run and show the table
    python -m localnet.lies --epochs 8 --json        longer, and one JSON object on the last line
    python -m localnet.lies --page docs/pricing-lies.md   write the tables as a page, too
"""

import argparse
import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

from localnet.lies.books import stage_books
from localnet.lies.page import print_result, write_page
from localnet.lies.run import run
from localnet.lies.stage import plan_market
from localnet.market import LocalMarket
from localnet.up import end
from node.output import Output


def main(argv: list[str] | None = None) -> int:
    """Run the lies; 0 if none gained what it should not, and the chain agrees with the rule."""
    parser = argparse.ArgumentParser(
        prog="make demo-lies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--epochs", type=int, default=4, help="that are served; default 4")
    parser.add_argument("--seed", type=int, default=1, help="of what everybody truly wants")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--page", type=Path, help="write the tables to this file as Markdown")
    options = parser.parse_args(argv)
    if options.epochs < 1:
        parser.error("at least one epoch")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    output = Output(options.json)
    books = stage_books(options.seed)
    with LocalMarket.start(plan_market(books), output.line) as market:
        result = asyncio.run(run(market, books, options.epochs, output))
    print_result(result, output)
    if options.page:
        write_page(result, options.seed, options.page)
    output.done(result.as_json())
    return 0 if result.is_good else 1


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main())
