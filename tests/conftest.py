"""What holds for all tests."""

from __future__ import annotations

import os

# Most tests are about the control plane, and a node costs seconds and memory: those that want one say --node.
os.environ.setdefault("KUBEDOCTOR_NODE", "off")
