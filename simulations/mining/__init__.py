"""Relay mining held against its paper, and its defences against those it replaced."""
