"""Command line of a device: `python -m edge --help`."""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from edge.client import DeviceAnswer, DeviceNetwork, EdgeClient
from edge.errors import EdgeError
from edge.network import MultiExitNetwork
from node.command import run_command
from node.errors import OperatorError
from node.output import Output
from pricing import EdgeTask

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Run the head of a network here, buy the tail."
)

Url = Annotated[str, typer.Option(envvar="EDGE_URL", help="the gateway's, with /v1")]
ApiKey = Annotated[str, typer.Option(envvar="EDGE_API_KEY", help="better in the environment")]
Model = Annotated[str, typer.Option(help="as the gateway lists it")]
NetworkFile = Annotated[Path, typer.Option(help="the network's .npz")]
Accuracy = Annotated[int, typer.Option(min=0, max=10**6, help="wanted, in millionths")]
Deadline = Annotated[int, typer.Option(min=1, help="microseconds from pixels to answer")]
Rate = Annotated[int, typer.Option(min=1, help="MFLOP/s of this device; see `measure`")]
Uplink = Annotated[int, typer.Option(min=1, help="bytes a second")]
RoundTrip = Annotated[int, typer.Option(min=0, help="microseconds to the gateway and back")]
Complexity = Annotated[
    int, typer.Option(min=1_000, help="work and bytes beside the network's, in thousandths")
]
Bid = Annotated[int, typer.Option(min=0, help="token base units, at most, for each inference")]
Json = Annotated[bool, typer.Option("--json", help="end with one JSON object")]

MEASURE_S = 0.5


@cli.command()
def infer(  # noqa: PLR0913, PLR0917  options of a command line
    images: Annotated[Path, typer.Argument(help=".npz with `pixels`, and `labels` if known")],
    accuracy_ppm: Accuracy,
    deadline_us: Deadline,
    bid: Bid,
    first: Annotated[int, typer.Option(min=0, help="of the images")] = 0,
    count: Annotated[int, typer.Option(min=1, help="how many of them")] = 1,
    url: Url = "http://127.0.0.1:8080/v1",
    api_key: ApiKey = "",
    model: Model = "lode-edge",
    network: NetworkFile = Path("network.npz"),
    device_rate: Rate = 1,
    uplink_bytes_s: Uplink = 1_000_000,
    round_trip_us: RoundTrip = 1_000,
    complexity_milli: Complexity = 1_000,
    json: Json = False,
) -> None:
    """Name the class of images, each planned, cut and finished at the edge by itself.

    Example: python -m edge infer held_out.npz --accuracy-ppm 960000 --deadline-us 60000 --bid 1000
    """
    output = Output(json)
    task = EdgeTask(
        accuracy_ppm, deadline_us, device_rate, uplink_bytes_s, round_trip_us, complexity_milli
    )

    async def work() -> dict[str, object]:
        pixels, labels = _read_images(images, first, count)
        with EdgeClient(url, api_key, model, _load(network)) as client:
            answers = [client.infer(client.plan(task, bid), each) for each in pixels]
        return _report(output, answers, labels, deadline_us)

    run_command(output, work, EdgeError)


@cli.command()
def measure(network: NetworkFile = Path("network.npz"), json: Json = False) -> None:
    """Measure this device's rate, for `--device-rate`: at each exit, and the least of them.

    A small exit has a low rate, for its layers cost time beside their work; who asks for an
    accuracy that one exit alone has says that one's.

    Example: python -m edge measure --network network.npz
    """

    async def work() -> dict[str, object]:
        rates = measure_rates(_load(network).network)
        return {"device_rate": min(rates), "rates": rates}

    run_command(Output(json), work, EdgeError)


def measure_rates(network: MultiExitNetwork, seconds: float = MEASURE_S) -> list[int]:
    """MFLOP/s of this machine at each exit run whole, rounded down but at least 1."""
    image = bytes(int(np.prod(network.input_shape)))
    rates = []
    for way_out, profile in enumerate(network.profile().exits):
        work = sum(layer.work for layer in profile.layers)
        runs, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) * len(network.branches) < seconds:
            network.run(image, way_out)
            runs += 1
        rates.append(max(1, int(work * runs / took / 1e6)))
    return rates


def _load(path: Path) -> DeviceNetwork:
    try:
        return DeviceNetwork.load(path)
    except ValueError as error:
        raise OperatorError(f"{path} holds no network: {error}") from error


def _read_images(path: Path, first: int, count: int) -> tuple[list[bytes], list[int | None]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            pixels = file["pixels"][first : first + count]
            labels = file["labels"][first : first + count].tolist() if "labels" in file else []
    except (KeyError, ValueError) as error:
        raise OperatorError(f"{path} holds no images: {error}") from error
    if len(pixels) == 0:
        raise OperatorError(f"{path} has no image {first}")
    images = [image.astype(np.uint8).tobytes() for image in pixels]
    return images, labels or [None] * len(images)


def _report(
    output: Output, answers: list[DeviceAnswer], labels: list[int | None], deadline_us: int
) -> dict[str, object]:
    rows = [
        (each.answer.label, label, each.plan.exit, each.plan.cut, each.plan.price,
         each.plan.latency_us, each.took_us)
        for each, label in zip(answers, labels, strict=True)
    ]  # fmt: skip
    columns = ("class", "label", "exit", "cut", "price", "predicted us", "took us")
    output.table("inferences", columns, rows)
    return {
        "answers": [
            {"label": each.answer.label, "took_us": each.took_us, "plan": each.plan}
            for each in answers
        ],
        "paid": sum(each.plan.price for each in answers),
        "in_time": sum(each.took_us <= deadline_us for each in answers),
        "right": sum(row[0] == row[1] for row in rows),
        "labelled": sum(label is not None for label in labels),
    }
