"""Install llama.cpp's server into an environment of its own: `python scripts/llama_cpp.py FOLDER`.

For the tests, and to try a supplier with an engine that it does not start: Linux, 210 MB on disk.
Prints the path of a Python that has it; `scripts/demo_gguf.py` and `scripts/serve_gguf.py` run on
that. Where a `llama-server` is installed, that does the same.
"""

import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = ("xllamacpp==2026.10.11549", "gguf==0.19.0", "numpy>=2,<3", "pyyaml", "tqdm", "requests")


def install(folder: Path) -> Path:
    """The Python in `folder` that has the packages, installed unless it has these already.

    Raises:
        CalledProcessError: a package could not be had.
    """
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = "\n".join(PACKAGES)
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES], check=True, stdout=sys.stderr)
    stamp.write_text(wanted)
    return python


if __name__ == "__main__":
    print(install(Path(sys.argv[1]).resolve()))
