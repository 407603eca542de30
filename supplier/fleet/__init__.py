"""The engines of a supplier together: which serves what, started, changed and let go of."""

from supplier.fleet.assignment import Offer, assign_services
from supplier.fleet.control import CONTROL, Control, ask_control
from supplier.fleet.fleet import Fleet, open_fleet
from supplier.fleet.plan import Change, plan_change

__all__ = [
    "CONTROL",
    "Change",
    "Control",
    "Fleet",
    "Offer",
    "ask_control",
    "assign_services",
    "open_fleet",
    "plan_change",
]
