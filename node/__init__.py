"""The chassis both nodes stand on: HTTP, keys, logs, telemetry and command-line output."""
