"""The supplier node: runs an engine behind a relay server, mines receipts, claims and proves."""
