"""nginx and HAProxy before three real servers, with the configuration files that are shipped.

Shares are counted, not timed: every answer names its server by the version of the model.
"""

import contextlib
import os
import re
import socket
import threading
from collections import Counter

import numpy as np
import pytest

import apus
from certificates import Authority
from fake import HEADER, HEALTH, frame
from running import Callers, balancing, client_of, find, replaced, servers, wait_until

DIGIT = np.zeros(64, dtype=np.float32)
# Connections on top of, or below, a server's exact share.
TOLERANCE = 2
# Each server is restarted so often while calls are made.
ROUNDS = 2

pytestmark = pytest.mark.skipif("APUS_BINARY" not in os.environ, reason="APUS_BINARY names no apus")


@pytest.fixture(params=["nginx", "haproxy"])
def kind(request):
    if not find(request.param):
        pytest.skip(f"{request.param} is not installed: apt-get install {request.param}")
    if request.param == "nginx" and not os.path.exists("/usr/lib/nginx/modules/ngx_stream_module.so"):
        pytest.skip("nginx has no stream module: apt-get install libnginx-mod-stream")
    return request.param


def who(client):
    """The number of the server that a client is connected to."""
    return client.classify("digits", DIGIT, labels=False).version


@contextlib.contextmanager
def clients(balancer, count):
    """Clients with a connection each, all open at the same time."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(client_of(balancer)) for _ in range(count)]


@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 1, 1)], ids=["equal", "three-one-one"])
def test_connections_are_shared_by_weight(kind, tmp_path, weights):
    count = 50
    with servers(tmp_path) as behind, balancing(kind, tmp_path, behind, weights) as balancer:
        with clients(balancer, count) as connected:
            first = [who(client) for client in connected]
            again = [who(client) for client in connected]
    assert first == again, "a connection stays with its server"
    shares = Counter(first)
    for number, weight in enumerate(weights, 1):
        assert abs(shares[number] - count * weight / sum(weights)) <= TOLERANCE, shares


def test_the_least_busy_server_gets_the_next_connection(kind, tmp_path):
    with servers(tmp_path) as behind, balancing(kind, tmp_path, behind) as balancer:
        with clients(balancer, 9) as connected:
            places = [who(client) for client in connected]
            for client, place in zip(connected, places):
                if place == 2:
                    client.close()

            def all_reach_it():
                with clients(balancer, 3) as further:
                    return [who(client) for client in further] == [2, 2, 2]

            # The balancer notices a moment later that connections have ended.
            wait_until(all_reach_it, "three new connections go where three ended")


def test_a_client_that_ended_its_sending_gets_its_answers(kind, tmp_path):
    with servers(tmp_path) as behind, balancing(kind, tmp_path, behind) as balancer:
        host, port = balancer.place.split(":")
        with socket.create_connection((host, int(port)), 20) as raw:
            raw.sendall(b"".join(frame(1, HEALTH, id) for id in range(1, 101)))
            raw.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: raw.recv(1 << 16), b""))
    assert len(received) == 100 * 64 and received.count(b"APUS") == 100


class Load(Callers):
    """A third of the threads make one call at a time, a third 16 together, a third open a connection for each call."""

    def __init__(self, balancer, threads=6):
        super().__init__([(16 if index % 3 == 1 else 1, index % 3 == 2) for index in range(threads)])
        self.balancer, self.failures, self.answers = balancer, [], Counter()

    def call_until_stopped(self, calls, connects):
        with client_of(self.balancer) as client:
            while not self.stop.is_set():
                try:
                    found = client.classify_many("digits", [DIGIT] * calls, labels=False)
                    if connects:
                        client.close()
                except apus.ApusError as error:
                    with self.lock:
                        self.failures.append(error)
                else:
                    with self.lock:
                        self.answers.update(result.version for result in found)

    def is_answered_by(self, number, calls):
        before = self.answers[number]
        return lambda: self.answers[number] >= before + calls


def comes_back(balancer, number):
    """Whether a new connection reaches the server."""
    def reached():
        with client_of(balancer) as client:
            return who(client) == number
    return reached


def test_a_rolling_restart_loses_no_call(kind, tmp_path):
    with servers(tmp_path) as behind, balancing(kind, tmp_path, behind) as balancer:
        with Load(balancer) as load:
            wait_until(lambda: len(load.answers) == 3, "every server has answered")
            for server in behind * ROUNDS:
                wait_until(load.is_answered_by(server.number, 50), f"server {server.number} is under load")
                server.drain()
                server.start()
                server.wait()
                wait_until(comes_back(balancer, server.number), f"server {server.number} is used again")
        assert load.failures == []
        assert sum(load.answers.values()) > 300


def test_only_calls_in_flight_on_a_killed_server_fail(kind, tmp_path):
    with servers(tmp_path) as behind, balancing(kind, tmp_path, behind) as balancer:
        with clients(balancer, 12) as connected:
            places = [who(client) for client in connected]
            assert set(places) == {1, 2, 3}
            # Stopped, it has the calls and has not answered them when it is killed.
            behind[0].freeze()
            outcomes = [None] * len(connected)

            def call(index):
                try:
                    outcomes[index] = who(connected[index])
                except apus.ApusError as error:
                    outcomes[index] = error

            threads = [threading.Thread(target=call, args=(index,)) for index in range(len(connected))]
            stopped = [index for index, place in enumerate(places) if place == 1]
            others = [index for index, place in enumerate(places) if place != 1]
            for index in stopped + others:
                threads[index].start()
            for index in others:
                threads[index].join(20)
            assert [outcomes[index] for index in others] == [places[index] for index in others]
            assert all(threads[index].is_alive() for index in stopped)
            behind[0].kill()
            for index in stopped:
                threads[index].join(20)
                assert isinstance(outcomes[index], apus.ConnectionLost), outcomes[index]
            for _ in range(5):
                assert {who(client) for client in connected} == {2, 3}


def test_tls_passes_through(kind, tmp_path):
    """Servers and clients check each other's certificates, and so does HAProxy's check."""
    here = Authority(tmp_path, "authority")
    certificate, key = here.sign("server", "server", "IP:127.0.0.1,DNS:apus.example.org")
    own, own_key = here.sign("client", "client", "DNS:client")
    check, check_key = here.sign("check", "check", "DNS:check")
    (tmp_path / "check.pem").write_text(open(check).read() + open(check_key).read())
    options = ["--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", here.file]

    def encrypt_check(text):
        """Adds what the file's first lines say."""
        if kind == "nginx":
            return text
        asked = re.search("^# +(check-ssl .*)$", text, re.MULTILINE)[1]
        text = replaced(text, "    default-server check ", f"    default-server check {asked} crt {tmp_path}/check.pem ")
        return text.replace("ca-file /etc/haproxy/apus-ca.pem", f"ca-file {here.file}")

    with servers(tmp_path, ["tls"] * 3, options) as behind:
        with balancing(kind, tmp_path, behind, edit=encrypt_check) as balancer:
            if kind == "haproxy":
                assert set(balancer.states().values()) == {("UP", "L7OK")}
            with contextlib.ExitStack() as stack:
                found = Counter(who(stack.enter_context(apus.Client(
                    f"tls://{balancer.place}", timeout=20, ca=here.file, cert=own, key=own_key)))
                    for _ in range(9))
            assert found == {1: 3, 2: 3, 3: 3}
            with apus.Client(f"tls://{balancer.place}", ca=here.file) as stranger:
                with pytest.raises(apus.ClientCertificateError):
                    stranger.health()


def test_a_client_without_a_server_gets_a_typed_error(kind, tmp_path):
    with servers(tmp_path) as behind, balancing(kind, tmp_path, behind) as balancer:
        for server in behind:
            server.kill()
        with client_of(balancer) as client, pytest.raises(apus.ConnectionLost):
            client.health()
        for server in behind:
            server.start()
        for server in behind:
            server.wait()

        def answers():
            with client_of(balancer) as client, contextlib.suppress(apus.ConnectionLost):
                return client.health().status == apus.ServingStatus.SERVING

        wait_until(answers, "calls are answered again")
