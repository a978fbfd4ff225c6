"""Report devices, versions and float64 support of this machine, and what to install.

python scripts/doctor.py
"""

from fxtrade.cli import doctor
from fxtrade.report.progress import Console

if __name__ == "__main__":
    doctor.show(Console())
