"""The Python client of this repository, for right answers by RPC, and its tests' certificates."""

import os
import sys
from pathlib import Path

import pytest

CLIENT = Path(__file__).resolve().parents[2] / "python"
sys.path[:0] = [str(CLIENT), str(CLIENT / "tests")]

from serving import Server  # noqa: E402 - after the folders that it imports from


def pytest_collection_modifyitems(items):
    if "APUS_BINARY" not in os.environ:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="APUS_BINARY names no apus"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server without a policy whose default model is `digits`; all tests of a file share it."""
    folder = tmp_path_factory.mktemp("server")
    with Server(folder, variables={"APUS_DEFAULT_MODEL": "digits"}) as server:
        yield server
