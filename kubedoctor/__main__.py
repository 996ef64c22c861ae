"""`python -m kubedoctor` is `kubedoctor`."""

from __future__ import annotations

from kubedoctor.cli import main

if __name__ == "__main__":
    main()
