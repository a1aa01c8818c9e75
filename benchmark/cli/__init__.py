"""The command line: one file a command."""

import sys

if sys.platform == "win32":  # before what Windows has not is imported
    print(
        "affectbench runs on Linux and macOS, found Windows: use the Windows Subsystem for Linux",
        file=sys.stderr,
    )
    sys.exit(2)
