"""The labelled data of the quality scripts is at hand; their folder comes last, so that no script hides a package."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks" / "quality"))
