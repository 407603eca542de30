"""`supplier doctor`: every precondition of serving and being paid, each with its remedy."""

from supplier.doctor.examine import examine
from supplier.doctor.finding import Finding, Verdict, is_healthy
from supplier.doctor.settings_checks import check_settings

__all__ = ["Finding", "Verdict", "check_settings", "examine", "is_healthy"]
