"""The command line, with the made-up dataset and the MLP in its catalogues."""

import sys

from benchmark.cli import main
from tests.benchmarks.speed.made_up import register

register()

if __name__ == "__main__":
    sys.exit(main())
