"""The real binary, on free ports, with a data directory of its own."""

import os
import pathlib

import pytest

from server import Server


@pytest.fixture
def start(tmp_path):
    """Starts servers with these flags; stops them after the test."""
    servers = []

    def begin(*flags):
        servers.append(Server(tmp_path / f"data-{len(servers)}", flags))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


@pytest.fixture
def server(start):
    return start()


@pytest.fixture(scope="session")
def shared():
    """Reference data that lies beside the checkout and is not part of it."""
    default = pathlib.Path(__file__).resolve().parents[4] / "shared"
    folder = pathlib.Path(os.environ.get("TREFOIL_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; TREFOIL_SHARED names it")
    return folder
