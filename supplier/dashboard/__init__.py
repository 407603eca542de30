"""The supplier's own page: funnel, earnings, funds, engine; on its admin port, for reading only."""

from supplier.dashboard.board import Board, Sources

__all__ = ["Board", "Sources"]
