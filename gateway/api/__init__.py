"""What a client sees: requests read once and within limits, endpoints, files and batches."""
