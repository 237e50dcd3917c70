"""Apus servers and load balancers as ordinary processes; each test has its own, on free ports."""

from __future__ import annotations

import contextlib
import getpass
import grp
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Optional

import apus

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "models" / "repository" / "digits" / "1"
SECONDS = 20
# How the configuration files name their three servers.
NGINX_PLACES = ("10.0.0.1:7400", "10.0.0.2:7400", "unix:/run/apus.sock")
HAPROXY_PLACES = ("10.0.0.1:7400", "10.0.0.2:7400", "unix@/run/apus.sock")


def find(program: str) -> Optional[str]:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < limit, f"in {SECONDS} s it did not happen that {what}"
        time.sleep(0.01)


class Server:
    """A server whose model `digits` has the version `number`, so that each answer says who made it."""

    def __init__(self, folder: Path, number: int, scheme: str = "tcp", options: Sequence[str] = ()) -> None:
        self.number, self.options = number, list(options)
        self.models = folder / f"models-{number}"
        shutil.copytree(DIGITS, self.models / "digits" / str(number))
        path = folder / f"server-{number}.sock"
        place = f"127.0.0.1:{free_port()}"
        self.address = f"unix:{path}" if scheme == "unix" else f"{scheme}://{place}"
        self.nginx_place = f"unix:{path}" if scheme == "unix" else place
        self.haproxy_place = f"unix@{path}" if scheme == "unix" else place
        self.process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        command = [os.environ["APUS_BINARY"], "serve", "--models", str(self.models), "--threads", "1"]
        self.process = subprocess.Popen([*command, "--listen", self.address, *self.options])

    def wait(self) -> None:
        """Until it can be connected to."""
        wait_until(self._is_there, f"server {self.number} listens")

    def _is_there(self) -> bool:
        assert self.process and self.process.poll() is None, f"server {self.number} ended"
        is_path = self.address.startswith("unix:")
        with socket.socket(socket.AF_UNIX if is_path else socket.AF_INET) as probe:
            host, _, port = self.nginx_place.partition(":")
            return probe.connect_ex(port if is_path else (host, int(port))) == 0

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def freeze(self) -> None:
        """Stops it; on return each of its threads has."""
        self.signal(signal.SIGSTOP)
        assert self.process
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def drain(self) -> None:
        self.signal(signal.SIGTERM)
        assert self.process and self.process.wait(SECONDS) == 0, "SIGTERM ends a server with status 0"

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def running(started: Sequence[Server]) -> Iterator[Sequence[Server]]:
    """Starts all, waits for each, and kills what is left."""
    try:
        for server in started:
            server.start()
        for server in started:
            server.wait()
        yield started
    finally:
        for server in started:
            server.kill()


def servers(folder: Path, schemes: Sequence[str] = ("tcp", "tcp", "unix"),
            options: Sequence[str] = ()) -> contextlib.AbstractContextManager[Sequence[Server]]:
    """Running servers, numbered from 1."""
    return running([Server(folder, number, scheme, options) for number, scheme in enumerate(schemes, 1)])


class Callers:
    """Threads that call until they are told to stop: `call_until_stopped` with the arguments of each."""

    def __init__(self, arguments: Sequence[tuple[object, ...]]) -> None:
        self.lock, self.stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self.call_until_stopped, args=each) for each in arguments]

    def call_until_stopped(self, *arguments: object) -> None:
        raise NotImplementedError

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()


def replaced(text: str, old: str, new: str) -> str:
    """`text` with its one `old` replaced, so that a test fails when a configuration file has changed."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the configuration file"
    return text.replace(old, new)


def nginx_configuration(folder: Path, port: int, places: Sequence[str], weights: Sequence[int]) -> str:
    text = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text()
    text = replaced(text, "user www-data;", f"user {getpass.getuser()};" if os.getuid() == 0 else "")
    text = replaced(text, "/run/nginx.pid", f"{folder}/nginx.pid")
    text = replaced(text, "/var/log/nginx/error.log", f"{folder}/nginx.log")
    text = replaced(text, "listen 7400;", f"listen 127.0.0.1:{port};")
    for old, place, weight in zip(NGINX_PLACES, places, weights):
        line = re.search(f"server {re.escape(old)} weight=[0-9]+", text)
        assert line, f"nginx.conf has no server {old}"
        text = replaced(text, line[0], f"server {place} weight={weight}")
    return text


def haproxy_configuration(folder: Path, port: int, places: Sequence[str], weights: Sequence[int]) -> str:
    text = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text()
    group = grp.getgrgid(os.getgid()).gr_name
    is_root = os.getuid() == 0
    text = replaced(text, "    user haproxy\n", f"    user {getpass.getuser()}\n" if is_root else "")
    text = replaced(text, "    group haproxy\n", f"    group {group}\n" if is_root else "")
    text = replaced(text, "stats socket /run/haproxy/admin.sock", f"stats socket {folder}/admin.sock")
    text = replaced(text, "log /dev/log local0", "log stdout format raw local0")
    text = replaced(text, "maxconn 16384", "maxconn 500")
    text = replaced(text, "bind :7400", f"bind 127.0.0.1:{port}")
    for old, place, weight in zip(HAPROXY_PLACES, places, weights):
        line = re.search(f"{re.escape(old)} weight [0-9]+", text)
        assert line, f"haproxy.cfg has no server {old}"
        text = replaced(text, line[0], f"{place} weight {weight}")
    return text


class Balancer:
    """nginx or HAProxy in the foreground, by the configuration file of this folder's neighbour."""

    def __init__(self, kind: str, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.kind, self.folder, self.process = kind, folder, process
        self.place = f"127.0.0.1:{port}"
        self.address = f"tcp://{self.place}"

    def states(self) -> dict[str, tuple[str, str]]:
        """What HAProxy thinks of each server: UP or DOWN, and the last check's result."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(SECONDS)
            admin.connect(f"{self.folder}/admin.sock")
            admin.sendall(b"show stat\n")
            text = b"".join(iter(lambda: admin.recv(1 << 16), b"")).decode()
        names, *rows = [line.split(",") for line in text.removeprefix("# ").strip().splitlines()]
        of_servers = [dict(zip(names, row)) for row in rows]
        return {row["svname"]: (row["status"].split()[0], row["check_status"].removeprefix("* "))
                for row in of_servers if row["svname"] in ("a", "b", "c")}


def balancing(kind: str, folder: Path, behind: Sequence[Server], weights: Sequence[int] = (1, 1, 1),
              edit: Callable[[str], str] = lambda text: text) -> contextlib.AbstractContextManager[Balancer]:
    port = free_port()
    if kind == "nginx":
        text = nginx_configuration(folder, port, [server.nginx_place for server in behind], weights)
    else:
        text = haproxy_configuration(folder, port, [server.haproxy_place for server in behind], weights)
    return running_balancer(kind, folder, port, edit(text))


@contextlib.contextmanager
def running_balancer(kind: str, folder: Path, port: int, configuration: str) -> Iterator[Balancer]:
    """nginx or HAProxy, from when it can be used on the port that its configuration names."""
    program = find(kind)
    assert program
    file = folder / f"{kind}.conf"
    file.write_text(configuration)
    options = ["-e", f"{folder}/nginx.log", "-g", "daemon off;", "-c"] if kind == "nginx" else ["-db", "-f"]
    process = subprocess.Popen([program, *options, str(file)])
    balancer = Balancer(kind, folder, process, port)
    try:
        def is_ready() -> bool:
            assert process.poll() is None, f"{kind} ended: see its message above"
            if kind == "haproxy":  # a server counts as up until its first check
                if not os.path.exists(folder / "admin.sock"):
                    return False
                return all(check.startswith("L7") for _, check in balancer.states().values())
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(is_ready, f"{kind} is ready")
        yield balancer
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        finally:
            process.kill()
            process.wait()


def client_of(balancer: Balancer) -> apus.Client:
    return apus.Client(balancer.address, timeout=SECONDS)
