"""`python -m generators.runner`: see `generators.runner.process`."""

from __future__ import annotations

from generators.runner.process import make
from generators.serving import serve_main

if __name__ == "__main__":
    serve_main(make)
