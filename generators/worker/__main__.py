"""`python -m generators.worker`: see `generators.worker.process`."""

from __future__ import annotations

import sys

from generators.worker.process import main

if __name__ == "__main__":
    sys.exit(main())
