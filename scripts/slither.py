"""Hold the contracts against slither: `python scripts/slither.py FOLDER`, which it installs into.

Fails on a finding of high or medium impact that `contracts/slither.toml` does not explain, and on
an explanation of what slither no longer finds.
"""

import json
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXPLAINED = ROOT / "contracts" / "slither.toml"
FORGE = ROOT / "node_modules" / ".bin" / "forge"
SLITHER = "slither-analyzer==0.11.6"
SERIOUS = ("High", "Medium")

Finding = tuple[str, str]
"""A detector, and the function or variable it is about."""


def install(folder: Path) -> Path:
    """The `slither` command in `folder`, installed unless it is there.

    Raises:
        CalledProcessError: the package could not be had.
    """
    command = folder / "bin" / "slither"
    if not command.is_file():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, SLITHER], check=True)
    return command


def build(out: Path) -> None:
    """Compile the deployed contracts with what slither reads beside them."""
    command = [
        str(FORGE), "build", "--quiet", "--force", "--build-info", "--out", str(out),
        "--cache-path", str(out / "cache"), "--skip", "*.t.sol", "*Harness*",
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True)


def analyze(slither: Path, out: Path) -> set[Finding]:
    """Every serious finding in what was built."""
    command = [
        str(slither), ".", "--foundry-ignore-compile", "--foundry-out-directory", str(out),
        "--filter-paths", "node_modules|contracts/test", "--exclude-low",
        "--exclude-informational", "--exclude-optimization", "--json", "-",
    ]  # fmt: skip
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    report: dict[str, Any] = json.loads(run.stdout) if run.stdout else {"success": False}
    if not report["success"]:
        raise SystemExit(f"slither did not run: {report.get('error') or run.stderr}")
    found = report["results"].get("detectors", [])
    return {_name(each) for each in found if each["impact"] in SERIOUS}


def _name(found: dict[str, Any]) -> Finding:
    """The detector, and the first thing it names, as `Contract.function(types)[.variable]`."""
    element = found["elements"][0]
    name: str = element["name"]
    parent = element["type_specific_fields"]["parent"]
    while parent["type"] != "contract":
        signature = parent.get("type_specific_fields", {}).get("signature", parent["name"])
        name = f"{signature}.{name}"
        parent = parent["type_specific_fields"]["parent"]
    if element["type"] == "function":
        name = element["type_specific_fields"]["signature"]
    return found["check"], f"{parent['name']}.{name}"


def read_explained() -> set[Finding]:
    """What is known and stays."""
    entries = tomllib.loads(EXPLAINED.read_text())
    return {(check, place) for check, each in entries.items() for place in each["where"]}


def main() -> int:
    """Print what is not explained and what is not found; the exit status says whether any is."""
    folder = Path(sys.argv[1]).resolve()
    slither, out = install(folder / "venv"), folder / "out"
    build(out)
    found, explained = analyze(slither, out), read_explained()
    for check, place in sorted(found - explained):
        print(f"not explained: {check} in {place}")
    for check, place in sorted(explained - found):
        print(f"no longer found: {check} in {place}")
    print(f"{len(found)} findings of high or medium impact, {len(found & explained)} explained")
    return int(found != explained)


if __name__ == "__main__":
    sys.exit(main())
