"""Compile the contracts into the committed artifacts: ABI and bytecode, one JSON file each.

    python -m contracts.compile            write contracts/artifacts
    python -m contracts.compile --check    fail where the artifacts are not what the sources give

Forge does it, with the `solc` of npm (see `foundry.toml`); bytecode carries no metadata, so the
same sources give the same bytes on every machine.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ARTIFACTS = ROOT / "contracts" / "artifacts"
OUT = ROOT / "contracts" / "out"
FORGE = ROOT / "node_modules" / ".bin" / "forge"

DEPLOYED = (
    "TestToken",
    "Timelock",
    "Parameters",
    "Registry",
    "Escrow",
    "Sessions",
    "Claims",
    "Auction",
)
LIBRARIES = ("Errors",)
TESTED = ("Harness",)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract and where its committed file belongs."""

    path: Path
    text: str


def compile_contracts() -> tuple[Artifact, ...]:
    """Return the artifacts that the sources give.

    Raises:
        SystemExit: forge is not installed, or the sources do not compile.
    """
    if not FORGE.exists():
        raise SystemExit("forge is not installed: run `make setup`")
    command = [str(FORGE), "build", "--quiet", "--skip", "*.t.sol"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SystemExit("the contracts do not compile")
    plain = tuple(_read_artifact(name, ARTIFACTS) for name in DEPLOYED + LIBRARIES)
    return plain + tuple(_read_artifact(name, ARTIFACTS / "test") for name in TESTED)


def write_artifacts(artifacts: tuple[Artifact, ...]) -> None:
    """Write each artifact to its file."""
    for artifact in artifacts:
        artifact.path.parent.mkdir(parents=True, exist_ok=True)
        artifact.path.write_text(artifact.text)


def find_stale(artifacts: tuple[Artifact, ...]) -> tuple[str, ...]:
    """Return the names of artifacts whose committed file is missing or differs."""
    return tuple(
        artifact.path.name
        for artifact in artifacts
        if not artifact.path.exists() or artifact.path.read_text() != artifact.text
    )


def _read_artifact(name: str, folder: Path) -> Artifact:
    compiled = json.loads((OUT / f"{name}.sol" / f"{name}.json").read_text())
    kept = {
        "contractName": name,
        "abi": compiled["abi"],
        "bytecode": compiled["bytecode"]["object"],
    }
    text = json.dumps(kept, separators=(",", ":"), sort_keys=True) + "\n"
    return Artifact(folder / f"{name}.json", text)


def main() -> int:
    """Write the artifacts, or check them; the exit status says whether they are up to date."""
    parser = argparse.ArgumentParser(prog="python -m contracts.compile", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    artifacts = compile_contracts()
    if not check:
        write_artifacts(artifacts)
        return 0
    stale = find_stale(artifacts)
    for name in stale:
        print(f"stale: {name} (run `python -m contracts.compile`)", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
