"""Real nodes that cheat in one way each, to be run beside honest ones in the local market."""
