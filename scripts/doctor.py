"""Report what this machine has and what to install for it.

python scripts/doctor.py
"""

from fxtrade.cli import doctor
from fxtrade.report.progress import Console

if __name__ == "__main__":
    doctor.show(Console())
