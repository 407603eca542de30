"""Run llama.cpp's server: `serve_gguf.py FILE --port 8080 --alias NAME --parallel 4 -c 1024`.

The flags are those of `llama-server`, of which this is the same code. Runs on the Python of
`scripts/llama_cpp.py`.
"""

import argparse
import signal

import xllamacpp


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--alias", required=True, help="the name it serves the model by")
    parser.add_argument("--parallel", type=int, default=4, help="answers at once")
    parser.add_argument("-c", type=int, default=1024, dest="context", help="tokens of each of them")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = given.file
    params.hostnames, params.port = [given.host], given.port
    params.model_alias = {given.alias}
    params.n_parallel, params.n_ctx = given.parallel, given.context * given.parallel
    params.cpuparams.n_threads = given.threads
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
