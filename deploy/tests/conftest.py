"""The Python client of this repository, and its tests' frames, for the tests here."""

import sys
from pathlib import Path

CLIENT = Path(__file__).resolve().parents[2] / "clients" / "python"
sys.path[:0] = [str(CLIENT), str(CLIENT / "tests")]
