"""The command line, with the made-up dataset and the MLP in its catalogues."""

import sys

from benchmark.cli.main import main
from benchmark.engines.server import importing, start_server

if __name__ == "__main__":
    start_server()  # before anything big is imported, as the command line itself does
with importing():
    from tests.benchmarks.speed import made_up
made_up.register()

if __name__ == "__main__":
    sys.exit(main())
