"""Report devices, versions and float64 support of this machine, and what to install.

python scripts/doctor.py
"""

import argparse

from fxtrade.cli import doctor, process
from fxtrade.report.progress import Console


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    doctor.show(Console())
    return 0


if __name__ == "__main__":
    process.leave(main)
