"""The face of a service of tails: what it shows, and how its requests are counted."""

from pathlib import Path

from edge import MalformedActivationError, count_tail, parse_profile, read_request, verify_request
from supplier.engines.spec import encode_service_spec
from supplier.engines.tail.spec import NETWORK_FILE, TailServiceSpec, read_network_file
from supplier.errors import MalformedRelayError
from supplier.server.admission import Demand
from supplier.server.endpoints import ServiceFace
from supplier.server.usage import EDGE_PATH, RelayBody


class TailCounter:
    """Counts tails by the network's profile; what is counted is what will be used."""

    def __init__(self, spec: TailServiceSpec) -> None:
        self._profile = parse_profile(spec.network)

    def demand(self, path: str, body: RelayBody) -> Demand:
        """Bytes of the activation and kFLOP behind the cut; raises MalformedRelayError."""
        if path != EDGE_PATH:
            raise MalformedRelayError(f"this service serves {EDGE_PATH} only")
        try:
            request = read_request(body.parsed)
            verify_request(self._profile, request)
        except MalformedActivationError as error:
            raise MalformedRelayError(f"no activation of this network: {error}") from error
        use = count_tail(self._profile, request.way_out, request.cut)
        return Demand(use.input_bytes, use.work_kflop)


def build_tail_face(directory: Path, spec: TailServiceSpec) -> ServiceFace:
    """The face of the network in a directory; raises OSError or ValueError."""
    shown = {
        NETWORK_FILE: read_network_file(directory),
        "config.json": (directory / "config.json").read_bytes(),
    }
    return ServiceFace(encode_service_spec(spec), shown, TailCounter(spec))
