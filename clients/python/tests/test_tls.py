"""The client over TLS against a scripted server: who it trusts, what it says, how bytes move."""

import contextlib
import select
import socket
import ssl
import struct
import subprocess
import threading

import numpy as np
import pytest

import apus
from apus import connection
from certificates import Authority, server_context
from fake import (
    CLASSIFY,
    HEALTH,
    HELLO,
    answer,
    byte_by_byte,
    goaway,
    listening,
    one_class,
    serving,
    status,
    welcome,
)

SERVING = bytes.fromhex("0801 1203 726479")  # status SERVING, detail "rdy"


class Files:
    """Every certificate that the tests need, made once."""

    def __init__(self, folder):
        here, other = Authority(folder, "here"), Authority(folder, "other")
        self.ca, self.other_ca = here.file, other.file
        self.server = here.sign("server", "server", "IP:127.0.0.1,DNS:localhost,DNS:apus.test")
        self.named = here.sign("named", "127.0.0.1", "DNS:apus.test")
        self.expired = here.sign("expired", "server", "IP:127.0.0.1", days=-1)
        self.client = here.sign("client", "billing", "DNS:billing")
        self.stranger = other.sign("stranger", "billing", "DNS:billing")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("certificates"))


def health_once(peer):
    _, id, _, _ = peer.request()
    peer.send(answer(HEALTH, id, SERVING))


def secured(context, *scripts):
    """A connection's script: the handshake and then the rest."""
    def script(peer):
        peer.secure(context)
        for next_one in scripts:
            next_one(peer)
    return script


def refused(context):
    """A connection that the client gives up in its handshake."""
    def script(peer):
        with pytest.raises(OSError):
            peer.secure(context)
            peer.exactly(1)
    return script


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_call(files, version, host):
    context = server_context(files.server)
    context.minimum_version = context.maximum_version = version

    def script(peer):
        peer.secure(context)
        assert peer.socket.version() == version.name.replace("v1_", "v1.")
        assert peer.socket.selected_alpn_protocol() == "apus/1"
        assert peer.socket.compression() is None
        _, id, _, body = peer.request()
        assert body == struct.pack("<2f", 1.5, -2.0)
        peer.send(one_class(id, 0.5))
        assert peer.ended()

    with serving(script, scheme="tls") as server:
        with apus.Client(server.address.replace("127.0.0.1", host), ca=files.ca) as client:
            result = client.classify("m", np.array([1.5, -2.0], np.float32), top=1)
    assert result.probabilities.tolist() == [0.5]


def test_a_server_that_chooses_no_protocol(files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files.server)
    with serving(secured(context, health_once), scheme="tls") as server:
        with apus.Client(server.address, ca=files.ca) as client:
            assert client.health().detail == "rdy"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_1_is_not_spoken(files):
    context = server_context(files.server)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(refused(context), scheme="tls") as server:
        client = apus.Client(server.address, ca=files.ca)
        with pytest.raises(apus.TLSError, match="ALERT_PROTOCOL_VERSION"):
            client.health()


@pytest.mark.parametrize("ca", ["other", None])
def test_a_certificate_of_an_authority_that_is_not_trusted(files, ca):
    with serving(refused(server_context(files.server)), scheme="tls") as server:
        with apus.Client(server.address, ca=files.other_ca if ca else None) as client:
            with pytest.raises(apus.CertificateError, match="not trusted.* ca= takes"):
                client.health()
            assert server.connections == 1, "a second attempt would fail as well"


def test_an_expired_certificate(files):
    with serving(refused(server_context(files.expired)), scheme="tls") as server:
        with apus.Client(server.address, ca=files.ca) as client:
            with pytest.raises(apus.CertificateError, match="expired; renew it"):
                client.health()


def test_a_certificate_of_another_name(files):
    context = server_context(files.named)
    scripts = refused(context), refused(context), secured(context, health_once)
    with serving(*scripts, scheme="tls") as server:
        for name in (None, "other.test"):
            with apus.Client(server.address, ca=files.ca, server_name=name) as client:
                with pytest.raises(apus.WrongName, match=f"is not for {name or '127.0.0.1'}: .*server_name="):
                    client.health()
        with apus.Client(server.address, ca=files.ca, server_name="apus.test") as client:
            assert client.health().detail == "rdy"


def test_the_server_name_is_sent(files):
    context, names = server_context(files.server), []
    context.sni_callback = lambda _, name, __: names.append(name)
    with serving(secured(context, health_once), scheme="tls") as server:
        with apus.Client(server.address, ca=files.ca, server_name="apus.test") as client:
            client.health()
    assert names == ["apus.test"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate(files, version):
    context = server_context(files.server, files.ca)
    context.minimum_version = context.maximum_version = version

    def script(peer):
        peer.secure(context)
        assert (("commonName", "billing"),) in peer.socket.getpeercert()["subject"]
        health_once(peer)

    with serving(script, scheme="tls") as server:
        certificate, key = files.client
        with apus.Client(server.address, ca=files.ca, cert=certificate, key=key) as client:
            assert client.health().detail == "rdy"


def test_a_client_certificate_that_is_missing_or_refused(files):
    context = server_context(files.server, files.ca)
    with serving(refused(context), refused(context), scheme="tls") as server:
        with apus.Client(server.address, ca=files.ca) as client:
            with pytest.raises(apus.ClientCertificateError, match="wants a client certificate: give cert="):
                client.health()
        certificate, key = files.stranger
        with apus.Client(server.address, ca=files.ca, cert=certificate, key=key) as client:
            with pytest.raises(apus.ClientCertificateError, match="refused.*UNKNOWN_CA.*signed by"):
                client.health()


def test_a_missing_client_certificate_under_tls_1_2(files):
    context = server_context(files.server, files.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(refused(context), scheme="tls") as server:
        client = apus.Client(server.address, ca=files.ca)
        with pytest.raises(apus.TLSError, match="HANDSHAKE_FAILURE.*give cert="):
            client.health()


def test_what_is_not_tls(files):
    def http(peer):
        peer.socket.recv(1 << 16)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def apus_without_tls(peer):
        peer.socket.recv(1 << 16)
        peer.send(status(0, 0, 3))

    def another_protocol(peer):
        context = server_context(files.server)
        context.set_alpn_protocols(["h2"])
        peer.secure(context)
        health_once(peer)

    with serving(http, apus_without_tls, another_protocol, scheme="tls") as server:
        with apus.Client(server.address, ca=files.ca) as client:
            for _ in range(2):
                with pytest.raises(apus.TLSError, match="what answers is not TLS; is it a tcp:// address"):
                    client.health()
            assert client.health().detail == "rdy", "Python's server ignores ALPN that it does not know"


def test_a_server_that_refuses_the_protocol(files):
    """Python's own server never sends the alert no_application_protocol; `openssl s_server` does."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    certificate, key = files.server
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key", key]
    with subprocess.Popen([*command, "-alpn", "h2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as server:
        try:
            while server.stdout.readline().strip() != b"ACCEPT":
                assert server.poll() is None, "openssl s_server ended"
            with apus.Client(f"tls://127.0.0.1:{port}", ca=files.ca) as client:
                with pytest.raises(apus.TLSError, match="does not speak apus/1"):
                    client.health()
        finally:
            server.kill()


@pytest.mark.parametrize("sent", [0, 3, 200])
def test_a_connection_cut_in_the_handshake(files, sent):
    """Cut before, inside, and after the first record's header; the client tries once more."""
    def script(peer):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        side = server_context(files.server).wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(peer.socket.recv(1 << 16))
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
        peer.send(outgoing.read()[:sent])

    with serving(script, script, scheme="tls") as server, apus.Client(server.address, ca=files.ca) as client:
        with pytest.raises(apus.ConnectError, match="closed the connection in the TLS handshake"):
            client.health()
        assert server.connections == 2


def test_a_handshake_cut_once(files):
    def cut(peer):
        peer.socket.recv(1 << 16)

    scripts = cut, secured(server_context(files.server), health_once)
    with serving(*scripts, scheme="tls") as server, apus.Client(server.address, ca=files.ca) as client:
        assert client.health().detail == "rdy"


@pytest.mark.parametrize("sent", [b"", bytes.fromhex("160303 0100 02")])
def test_the_time_out_holds_in_the_handshake(files, sent):
    def script(peer):
        peer.socket.recv(1 << 16)
        peer.send(sent)
        assert peer.ended()

    with serving(script, scheme="tls") as server, apus.Client(server.address, ca=files.ca) as client:
        with pytest.raises(apus.DeadlineExceeded):
            client.health(timeout=0.1)


def test_the_time_out_holds_while_a_handshake_trickles(files):
    """Each byte comes in time, their sum does not: the limit is for the whole handshake."""
    def script(peer):
        peer.socket.recv(1 << 16)
        peer.send(bytes.fromhex("160303 4000"))
        with contextlib.suppress(OSError):
            for _ in range(200):
                peer.send(b"\2")
                stopped.wait(0.05)
                if stopped.is_set():
                    return
        assert stopped.is_set(), "the client waited for bytes without an end"

    stopped = threading.Event()
    with serving(script, scheme="tls") as server, apus.Client(server.address, ca=files.ca) as client:
        with pytest.raises(apus.DeadlineExceeded):
            client.health(timeout=0.3)
        stopped.set()


def test_the_time_out_holds_inside_a_record(files):
    context = server_context(files.server)

    def script(peer):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        side = context.wrap_bio(incoming, outgoing, server_side=True)
        handshake = True
        while handshake:
            try:
                side.do_handshake()
                handshake = False
            except ssl.SSLWantReadError:
                peer.send(outgoing.read())
                incoming.write(peer.socket.recv(1 << 16))
        peer.send(outgoing.read())
        side.write(answer(HEALTH, 1, SERVING))
        peer.send(outgoing.read()[:-1])
        while peer.socket.recv(1 << 16):
            pass

    with serving(script, scheme="tls") as server, apus.Client(server.address, ca=files.ca) as client:
        with pytest.raises(apus.DeadlineExceeded):
            client.health(timeout=0.2)


def test_one_byte_in_each_record(files):
    def script(peer):
        _, id, _, _ = peer.request()
        for byte in one_class(id, 0.5):
            peer.send(bytes([byte]))

    with serving(secured(server_context(files.server), script), scheme="tls") as server:
        with apus.Client(server.address, ca=files.ca) as client:
            assert client.classify("m", [1.0], top=1).probabilities.tolist() == [0.5]


def test_one_byte_in_each_packet(files):
    def script(peer):
        _, id, _, _ = peer.request()
        peer.send(one_class(id, 0.5))
        peer.ended()

    with serving(secured(server_context(files.server), script), scheme="tls") as server:
        with byte_by_byte(server) as address, apus.Client(address, ca=files.ca) as client:
            assert client.classify("m", [1.0], top=1).probabilities.tolist() == [0.5]


def test_decrypted_bytes_are_read_though_the_socket_has_none(files, monkeypatch):
    """A record holds 256 bytes of which each read takes 10: the kernel knows nothing of the other 246."""
    monkeypatch.setattr(connection, "RECEIVE_BYTES", 10)

    def script(peer):
        _, id, _, _ = peer.request()
        peer.send(one_class(id, 0.5))
        assert peer.ended()

    with serving(secured(server_context(files.server), script), scheme="tls") as server:
        with apus.Client(server.address, ca=files.ca) as client:
            assert client.classify("m", [1.0], top=1).probabilities.tolist() == [0.5]


def test_waiting_is_not_polling(files, monkeypatch):
    """What the client waits for comes after a while: it has to sleep until then."""
    waits = []
    real = connection.Connection._poll

    def counted(self, events, seconds):
        waits.append(events)
        return real(self, events, seconds)

    def script(peer):
        _, id, _, _ = peer.request()
        threading.Event().wait(0.3)
        peer.send(one_class(id, 0.5))

    with serving(secured(server_context(files.server), script), scheme="tls") as server:
        with apus.Client(server.address, ca=files.ca) as client:
            monkeypatch.setattr(connection.Connection, "_poll", counted)
            assert client.classify("m", [1.0], top=1).probabilities.tolist() == [0.5]
    # The server's two session tickets may come in records of their own before the answer.
    assert 1 <= len(waits) <= 4 and set(waits) == {select.POLLIN}


class Reluctant:
    """A socket that can't send before it received, nor receive before it waited for room to send.

    OpenSSL's sockets are so amid a change of keys, which Python's servers never ask for.
    """

    def __init__(self, connected):
        self.connected, self.received, self.waited, self.refused = connected, False, False, []

    def __getattr__(self, name):
        return getattr(self.connected, name)

    def send(self, data):
        if not self.received:
            self.refused.append("send")
            raise ssl.SSLWantReadError
        return self.connected.send(data)

    def recv(self, size):
        if not self.waited:
            self.waited = True
            self.refused.append("recv")
            raise ssl.SSLWantWriteError
        self.received = True
        return self.connected.recv(size)


def test_sending_that_waits_for_bytes_and_receiving_that_waits_for_room(monkeypatch):
    waits, sockets = [], []
    real_poll, real_connect = connection.Connection._poll, connection.connect

    def poll(self, events, seconds):
        waits.append(events)
        return real_poll(self, events, seconds)

    def connect(*arguments):
        sockets.append(Reluctant(real_connect(*arguments)))
        return sockets[0]

    def script(peer):
        threading.Event().wait(0.1)
        peer.send(welcome())
        assert peer.request()[0] == HELLO
        health_once(peer)

    monkeypatch.setattr(connection.Connection, "_poll", poll)
    monkeypatch.setattr(connection, "connect", connect)
    with serving(script) as server, apus.Client(server.address, token="t") as client:
        assert client.health().detail == "rdy"
    # Hello's answer is waited for, then room, as receiving it asks for, and then the call's answer.
    assert waits == [select.POLLIN, select.POLLIN | select.POLLOUT, select.POLLIN]
    assert sockets[0].refused == ["send", "recv", "send"]


FLOATS = 1 << 18


def large_answers(count):
    """Answers of 1 MiB: as many classes as the request had numbers, and their probabilities its numbers."""
    def script(peer):
        for _ in range(count):
            _, id, _, body = peer.request()
            metadata = bytes.fromhex("0801 10808010 1a0c 0801 1204 01808010 20808040 3801")
            peer.send(answer(CLASSIFY, id, metadata, body))
    return script


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_more_bytes_than_sockets_hold_in_both_directions(files, version):
    """The server answers each call before it reads the next, with an answer larger than a socket's buffer."""
    context = server_context(files.server)
    context.maximum_version = version
    arrays = [np.arange(n, n + FLOATS, dtype=np.float32) for n in range(6)]
    with serving(secured(context, large_answers(6)), scheme="tls") as server:
        with apus.Client(server.address, ca=files.ca) as client:
            results = client.classify_many("m", arrays, labels=False)
    for array, result in zip(arrays, results):
        assert np.array_equal(result.probabilities, array)


def test_a_refusal_is_read_though_the_server_does_not_take_the_request(files):
    def script(peer):
        peer.exactly(32)
        peer.send(status(CLASSIFY, 1, 8))
        while peer.socket.recv(1 << 16):
            pass

    with serving(secured(server_context(files.server), script), scheme="tls") as server:
        with apus.Client(server.address, ca=files.ca) as client:
            with pytest.raises(apus.ResourceExhausted):
                client.classify("m", np.zeros((4000, 1000), np.float32))
            client.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_reconnect_resumes_the_session(files, version):
    context = server_context(files.server)
    context.maximum_version = version
    reused = []

    def script(peer):
        peer.secure(context)
        reused.append(peer.socket.session_reused)
        health_once(peer)

    with serving(script, script, script, scheme="tls") as server:
        with apus.Client(server.address, ca=files.ca) as client:
            client.health()
            client.close()
            client.health()
            client.close()
            client.health()
    assert reused == [False, True, True]


def test_a_session_that_the_server_forgot(files):
    """Each context has ticket keys of its own, as a server has that was started anew."""
    reused = []

    def script(peer):
        peer.secure(server_context(files.server))
        reused.append(peer.socket.session_reused)
        health_once(peer)

    with serving(script, script, scheme="tls") as server, apus.Client(server.address, ca=files.ca) as client:
        client.health()
        client.close()
        assert client.health().detail == "rdy"
    assert reused == [False, False]


def test_reconnecting_after_the_connection_was_closed_lost_or_said_to_end(files):
    context = server_context(files.server)
    left, said = threading.Event(), threading.Event()

    def leaving(peer):
        health_once(peer)
        peer.socket.close()
        left.set()

    def losing(peer):
        health_once(peer)
        peer.request()

    def going(peer):
        health_once(peer)
        peer.send(goaway())
        said.set()
        assert peer.ended()

    scripts = (secured(context, script) for script in (leaving, losing, going, health_once))
    with serving(*scripts, scheme="tls") as server, apus.Client(server.address, ca=files.ca) as client:
        client.health()
        left.wait(10)
        client.health()
        with pytest.raises(apus.ConnectionLost):
            client.classify("m", [1.0])
        client.health()
        said.wait(10)
        assert client.health().detail == "rdy"
        assert server.connections == 4


def test_closing_says_goodbye(files):
    context, ends = server_context(files.server), []

    def script(peer):
        peer.socket = context.wrap_socket(peer.socket, server_side=True, suppress_ragged_eofs=False)
        health_once(peer)
        ends.append(peer.socket.recv(1))

    with serving(script, scheme="tls") as server, apus.Client(server.address, ca=files.ca) as client:
        client.health()
    assert ends == [b""]


def test_files_that_cannot_be_used(files, tmp_path):
    empty, locked = tmp_path / "empty.pem", str(tmp_path / "locked.key")
    empty.write_text("")
    certificate, key = files.client
    subprocess.run(["openssl", "pkcs8", "-topk8", "-in", key, "-passout", "pass:secret", "-out", locked],
                   check=True, timeout=60)
    address = "tls://127.0.0.1:1"
    for ca in (str(tmp_path / "none.pem"), str(empty)):
        with pytest.raises(apus.CertificateError, match=f"from {ca}.*ca= takes a PEM file"):
            apus.Client(address, ca=ca)
    with pytest.raises(apus.CertificateError, match="none.pem.*cert= takes a PEM file"):
        apus.Client(address, cert=str(tmp_path / "none.pem"))
    with pytest.raises(apus.CertificateError, match="cannot use.*KEY_VALUES_MISMATCH"):
        apus.Client(address, cert=certificate, key=files.stranger[1])
    with pytest.raises(apus.CertificateError, match="takes no passphrase"):
        apus.Client(address, cert=certificate, key=locked)
    with pytest.raises(ValueError, match="key= goes with cert="):
        apus.Client(address, key=key)


@pytest.mark.parametrize("option", ["ca", "cert", "key", "server_name"])
@pytest.mark.parametrize("address", ["unix:/run/apus.sock", "tcp://127.0.0.1:1"])
def test_options_of_tls_are_not_taken_where_nothing_is_encrypted(address, option):
    with pytest.raises(ValueError, match=f"{option}= is for tls:// addresses"):
        apus.Client(address, **{option: "x"})


def test_no_server():
    with listening("tls") as (_, address):
        pass
    with apus.Client(address) as client, pytest.raises(apus.ConnectError, match="is a server there"):
        client.health()
