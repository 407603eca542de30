"""The credit policy of the settings."""

from fractions import Fraction

from supplier.server.accounts import CreditPolicy
from supplier.settings import CreditSettings

PPM = 1_000_000


def compute_policy(settings: CreditSettings) -> CreditPolicy:
    """What this supplier serves on credit."""
    return CreditPolicy(
        initial_units=settings.initial_units,
        growth=Fraction(settings.growth_ppm, PPM),
        newcomers_units=settings.new_gateways_units,
        receipt_due_s=settings.receipt_due_s,
        interim_units=settings.interim_units,
        is_bound_by_fee=settings.bound_by_fee,
    )
