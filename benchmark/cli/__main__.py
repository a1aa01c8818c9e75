"""``python -m benchmark.cli``: the same as ``affectbench``."""

import sys

from benchmark.cli.main import main

sys.exit(main())
