"""nginx before three real servers of HTTP, with the configuration file that is shipped.

Shares are counted, not timed: every answer names its server by the version of the model, and each server counts.
"""

import contextlib
import getpass
import http.client
import http.server
import json
import os
import re
import socket
import subprocess
import threading
from collections import Counter

import pytest

from running import ROOT, SECONDS, Callers, Server, find, free_port, replaced, running, running_balancer, wait_until

CLASSIFY = "/v1/models/digits:classify"
DIGIT = json.dumps({"inputs": [0] * 64, "top_k": 1}).encode()
PLACES = ("10.0.0.1:7480", "10.0.0.2:7480", "10.0.0.3:7480")
WEIGHTS = (3, 1, 1)
# Each server is restarted so often while calls are made.
ROUNDS = 2
# Requests on top of, or below, a server's exact share.
TOLERANCE = 5
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

pytestmark = [
    pytest.mark.skipif("APUS_BINARY" not in os.environ, reason="APUS_BINARY names no apus"),
    pytest.mark.skipif(not find("nginx"), reason="nginx is not installed: apt-get install nginx"),
]


def listens(place):
    host, port = place.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


class HTTPServer(Server):
    def __init__(self, folder, number, options=()):
        self.place = f"127.0.0.1:{free_port()}"
        super().__init__(folder, number, "unix", [*options, "--http", self.place])

    def wait(self):
        def is_there():
            assert self.is_running(), f"server {self.number} ended"
            return listens(self.place)

        wait_until(is_there, f"server {self.number} serves HTTP")

    def calls(self):
        """Calls that got a result, as /metrics counts them."""
        with connection(self.place) as direct:
            direct.request("GET", "/metrics")
            text = direct.getresponse().read().decode()
        line = re.search(r'^model_requests_total\{.*code="OK"\} (\d+)$', text, re.M)
        return int(line[1]) if line else 0

    def stats(self):
        """The same, as `apus stats` does."""
        done = subprocess.run([os.environ["APUS_BINARY"], "stats", "--to", self.address, "--json"],
                              capture_output=True, text=True, timeout=SECONDS, check=True)
        return sum(model["requests_total"] for model in json.loads(done.stdout)["models"])


def servers(folder, options=()):
    return running([HTTPServer(folder, number, options) for number in (1, 2, 3)])


@contextlib.contextmanager
def connection(place):
    found = http.client.HTTPConnection(place, timeout=SECONDS)
    try:
        yield found
    finally:
        found.close()


def balancing(folder, behind, edit=lambda text: text):
    port = free_port()
    text = (ROOT / "deploy" / "nginx" / "http.conf").read_text()
    text = replaced(text, "user www-data;", f"user {getpass.getuser()};" if os.getuid() == 0 else "")
    text = replaced(text, "/run/nginx.pid", f"{folder}/nginx.pid")
    text = replaced(text, "/var/log/nginx/error.log", f"{folder}/nginx.log")
    text = replaced(text, "listen 8080;", f"listen 127.0.0.1:{port};")
    ways = "".join(f"{way}_temp_path {folder}/{way}; " for way in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = replaced(text, "access_log off;", f"access_log off; {ways}")
    for old, server in zip(PLACES, behind):
        text = replaced(text, f"server {old} ", f"server {server.place} ")
    return running_balancer("nginx", folder, port, edit(text))


def call(open_connection, path=CLASSIFY, body=DIGIT, **headers):
    """The answer's status and, of a classification, the server's number."""
    open_connection.request("POST", path, body, headers)
    answer = open_connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text)["version"] if answer.status == 200 else text.decode()


class Load(Callers):
    """Each thread calls on its own connection to nginx."""

    def __init__(self, balancer, threads=8):
        super().__init__([()] * threads)
        self.failures, self.answers, self._place = [], Counter(), balancer.place

    def call_until_stopped(self):
        with connection(self._place) as own:
            while not self.stop.is_set():
                try:
                    status, found = call(own)
                except (OSError, http.client.HTTPException) as error:
                    own.close()
                    status, found = None, repr(error)
                with self.lock:
                    if status == 200:
                        self.answers[found] += 1
                    else:
                        self.failures.append((status, found))

    def is_answered_by(self, number, calls):
        before = self.answers[number]
        return lambda: self.answers[number] >= before + calls


def test_requests_are_shared_by_weight(tmp_path):
    """One after another, on one connection: whose turn it is decides."""
    count = 100
    with servers(tmp_path) as behind, balancing(tmp_path, behind) as balancer, connection(balancer.place) as own:
        found = Counter(call(own) for _ in range(count))
        shares = [found[200, server.number] for server in behind]
        assert sum(shares) == count, found
        for share, weight in zip(shares, WEIGHTS):
            assert abs(share - count * weight / sum(WEIGHTS)) <= TOLERANCE, shares
        assert [server.calls() for server in behind] == shares
        assert [server.stats() for server in behind] == shares


def test_a_rolling_restart_loses_no_call(tmp_path):
    with servers(tmp_path) as behind, balancing(tmp_path, behind) as balancer:
        with Load(balancer) as load:
            for server in behind * ROUNDS:
                wait_until(load.is_answered_by(server.number, 50), f"server {server.number} is under load")
                server.drain()
                server.start()
                server.wait()
                wait_until(load.is_answered_by(server.number, 1), f"server {server.number} is used again")
        assert load.failures == []
        assert sum(load.answers.values()) > 300


def waiting(server):
    """Connections whose requests the server has not read (proc(5))."""
    there, found = f":{int(server.place.split(':')[1]):04X}", 0
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            _, own, _, state, queues, *_ = line.split()
            found += own.endswith(there) and state == "01" and not queues.endswith(":00000000")
    return found


def repeating(text):
    """What the file says of calls that were sent."""
    return replaced(text, "proxy_next_upstream error timeout;", "proxy_next_upstream error timeout non_idempotent;")


@pytest.mark.parametrize("edit", [lambda text: text, repeating], ids=["as-it-is", "non_idempotent"])
def test_only_calls_in_flight_on_a_killed_server_fail(tmp_path, edit):
    count = 12
    with servers(tmp_path) as behind, balancing(tmp_path, behind, edit) as balancer:
        # Stopped, it has its calls and has not answered them when it is killed.
        behind[0].freeze()
        outcomes = []

        def make_one_call():
            with connection(balancer.place) as own:
                outcomes.append(call(own))

        threads = [threading.Thread(target=make_one_call) for _ in range(count)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(outcomes) + waiting(behind[0]) == count, "the other calls are answered")
        stuck = count - len(outcomes)
        assert stuck > 0 and {status for status, _ in outcomes} == {200}
        behind[0].kill()
        for thread in threads:
            thread.join(SECONDS)
        found = Counter(status for status, _ in outcomes)
        if edit is repeating:
            assert found == {200: count}
        else:
            assert found == {200: count - stuck, 502: stuck}
        assert sum(server.calls() for server in behind[1:]) == found[200]
        with connection(balancer.place) as own:
            later = Counter(call(own) for _ in range(20))
        assert set(later) <= {(200, 2), (200, 3)}, later


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers a request with the fields that it had."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def echoing():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads, server.block_on_close = True, False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        server.place = f"127.0.0.1:{server.server_port}"
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_the_fields_of_a_request_pass_through(tmp_path):
    with echoing() as echo, balancing(tmp_path, [echo] * 3) as balancer, connection(balancer.place) as own:
        for came_by, told in ((None, "127.0.0.1"), ("192.0.2.7", "192.0.2.7, 127.0.0.1")):
            fields = {"Authorization": "Bearer apus_x", "traceparent": TRACE, "Content-Type": "application/json"}
            if came_by:
                fields["X-Forwarded-For"] = came_by
            own.request("POST", CLASSIFY, DIGIT, fields)
            found = json.loads(own.getresponse().read())
            assert (found["authorization"], found["traceparent"]) == ("Bearer apus_x", TRACE)
            assert (found["x-forwarded-for"], found["host"]) == (told, "127.0.0.1")
            assert "connection" not in found and found["content-length"] == str(len(DIGIT))


def test_metrics_and_long_bodies_end_at_nginx(tmp_path):
    def shorten(text):
        return replaced(text, "client_max_body_size 64m;", "client_max_body_size 1k;")

    with echoing() as echo, balancing(tmp_path, [echo] * 3, shorten) as balancer:
        for method, path, body, status in (("GET", "/metrics", None, 404), ("POST", CLASSIFY, b" " * 1025, 413),
                                           ("POST", CLASSIFY, b" " * 1024, 200)):
            with connection(balancer.place) as own:
                own.request(method, path, body)
                assert own.getresponse().status == status
