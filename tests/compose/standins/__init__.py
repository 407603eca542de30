"""Images that stand in for official ones where no image registry is reached.

They are built of Debian's packages and tagged with the official names, so that compose.yaml runs as
it is. What Debian does not have, Grafana, is left out of the market that is tested.
"""

import os
import re
import subprocess
from functools import cache
from pathlib import Path

import httpx
import yaml

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[2]
REGISTRY = "https://registry-1.docker.io/v2/"
PULL_S_MAX = 300.0
BUILD_S_MAX = 600.0


def official_images() -> dict[str, str]:
    """The images of compose.yaml that are pulled and need no profile, by service."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    found = {}
    for name, service in services.items():
        variable = re.fullmatch(r"\$\{(\w+):-(.+)\}", service["image"])
        if variable and "profiles" not in service:
            found[name] = os.environ.get(variable[1], variable[2])
    return found


def prepare() -> list[str]:
    """Have an image for each service that needs one; returns the services that get none."""
    return [name for name, image in official_images().items() if not _have(name, image)]


def _have(service: str, image: str) -> bool:
    if _is_done(["docker", "image", "inspect", image]):
        return True
    if _is_registry_reached() and _is_done(["docker", "pull", "--quiet", image], PULL_S_MAX):
        return True
    kind = image.partition(":")[0].rpartition("/")[2]
    recipe = FOLDER / f"{kind}.Dockerfile"
    return recipe.exists() and _build(recipe, image)


@cache
def _is_registry_reached() -> bool:
    try:
        return httpx.get(REGISTRY, timeout=10.0).status_code in (200, 401)
    except httpx.HTTPError:
        return False


def _build(recipe: Path, image: str) -> bool:
    argv = ["docker", "build", "--quiet", "--tag", image]
    argv += ["--network", os.environ.get("BUILD_NETWORK", "default")]
    if "PYTHON_IMAGE" in os.environ:
        argv += ["--build-arg", f"PYTHON_IMAGE={os.environ['PYTHON_IMAGE']}"]
    subprocess.run(
        [*argv, "-"], input=recipe.read_bytes(), check=True, capture_output=True,
        timeout=BUILD_S_MAX,
    )  # fmt: skip
    return True


def _is_done(argv: list[str], timeout_s: float = 30.0) -> bool:
    try:
        done = subprocess.run(argv, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
