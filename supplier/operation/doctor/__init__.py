"""`supplier doctor`: every precondition of serving and being paid, each with its remedy."""

from supplier.operation.doctor.examine import examine
from supplier.operation.doctor.finding import Finding, Verdict, is_healthy
from supplier.operation.doctor.settings_checks import check_settings

__all__ = ["Finding", "Verdict", "check_settings", "examine", "is_healthy"]
