"""`python -m edge`: the device's commands."""

from edge.cli import cli

if __name__ == "__main__":
    cli()
