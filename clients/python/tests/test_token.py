"""Tokens: where they are sent and where not, what a refusal becomes, and that they are never shown."""

import struct
import threading

import pytest

import apus
from certificates import Authority, server_context
from fake import CLASSIFY, HEALTH, HELLO, answer, goaway, one_class, serving, status, welcome

SERVING = bytes.fromhex("0801 1203 726479")  # status SERVING, detail "rdy"
TOKEN = "apus_Zm9vYmFy-42"
# min_version 1, max_version 1, client "apus-python", token
HELLO_METADATA = bytes.fromhex("0801 1001 1a0b") + b"apus-python" + b"\x22\x10" + TOKEN.encode()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"), "here")


@pytest.fixture(params=["unix", "tcp", "tls"])
def transport(request, authority):
    """Each transport with the options that a client needs for it, and what a server's script does first."""
    if request.param != "tls":
        return request.param, {}, lambda peer: None
    context = server_context(authority.sign("server", "server", "IP:127.0.0.1"))
    return "tls", {"ca": authority.file}, lambda peer: peer.secure(context)


def greeted(peer, token=TOKEN):
    """Reads Hello, which has to be the first frame."""
    method, id, metadata, body = peer.request()
    assert (method, id, body) == (HELLO, 0, b"")
    assert metadata == HELLO_METADATA.replace(TOKEN.encode(), token.encode())


def health_once(peer):
    method, id, _, _ = peer.request()
    assert method == HEALTH
    peer.send(answer(HEALTH, id, SERVING))


def test_the_first_frame_of_each_connection(transport):
    scheme, options, begin = transport

    def script(peer):
        begin(peer)
        greeted(peer)
        peer.send(welcome())
        health_once(peer)
        health_once(peer)

    with serving(script, script, scheme=scheme) as server:
        with apus.Client(server.address, token=TOKEN, **options) as client:
            for _ in range(2):
                assert client.health().detail == "rdy"
                assert client.health().detail == "rdy"
                client.close()


def test_hello_and_the_first_call_are_sent_together():
    def script(peer):
        greeted(peer)
        _, id, _, body = peer.request()
        assert struct.unpack("<f", body) == (4.0,)
        peer.send(welcome() + one_class(id, 0.5))

    with serving(script) as server, apus.Client(server.address, token=TOKEN) as client:
        assert client.classify("m", [4.0], top=1).probabilities.tolist() == [0.5]


def test_an_answer_to_hello_after_that_to_a_call():
    sent = threading.Event()

    def script(peer):
        greeted(peer)
        health_once(peer)
        peer.send(welcome())
        sent.set()
        health_once(peer)
        assert peer.ended()

    with serving(script) as server, apus.Client(server.address, token=TOKEN) as client:
        client.health()
        sent.wait(10)
        assert client.health().detail == "rdy"


def test_without_a_token_there_is_no_hello():
    with serving(health_once) as server, apus.Client(server.address) as client:
        assert client.health().detail == "rdy"


def test_a_token_file_is_read_for_every_connection(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")

    def script(token):
        def serve(peer):
            greeted(peer, token)
            peer.send(welcome())
            health_once(peer)
        return serve

    with serving(script(TOKEN), script("apus_bmV3ZXIx-43")) as server:
        with apus.Client(server.address, token_file=str(file)) as client:
            client.health()
            client.close()
            file.write_text("apus_bmV3ZXIx-43\n")
            client.health()
            client.close()
            file.write_text("")
            with pytest.raises(apus.ConnectError, match="holds no token: write the token into it"):
                client.health()
            file.unlink()
            with pytest.raises(apus.ConnectError, match="cannot read the token from .*token: No such file"):
                client.health()


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff\xfe", b"two\nlines", b"\0"])
def test_token_files_without_a_token(tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(apus.ConnectError, match=str(file)) as caught:
        apus.Client("unix:/run/apus.sock", token_file=str(file))
    assert "words" not in str(caught.value) and "lines" not in str(caught.value)


@pytest.mark.parametrize("token", ["", " ", TOKEN + "\n", "two words", "\udcff"])
def test_texts_that_are_no_token(token):
    with pytest.raises(ValueError, match="no token") as caught:
        apus.Client("unix:/run/apus.sock", token=token)
    assert not token.strip() or token.strip() not in str(caught.value)


def test_one_token_at_a_time(tmp_path):
    with pytest.raises(ValueError, match="not both"):
        apus.Client("unix:/run/apus.sock", token=TOKEN, token_file=str(tmp_path / "token"))


@pytest.mark.parametrize("host", [
    "192.0.2.1", "apus.example", "[2001:db8::1]", "0.0.0.0", "localhost.example"])
def test_a_token_is_not_sent_in_clear_to_another_machine(host):
    with pytest.raises(ValueError, match=r"anybody.*tls://.*insecure=True") as caught:
        apus.Client(f"tcp://{host}:7000", token=TOKEN)
    assert TOKEN not in str(caught.value)
    apus.Client(f"tcp://{host}:7000", token=TOKEN, insecure=True)
    apus.Client(f"tcp://{host}:7000")
    apus.Client(f"tls://{host}:7000", token=TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "[::1]", "localhost"])
def test_a_token_may_go_to_this_machine(host):
    apus.Client(f"tcp://{host}:7000", token=TOKEN)


def test_insecure_does_not_turn_off_the_check_of_certificates(authority):
    context = server_context(authority.sign("server", "server", "IP:127.0.0.1"))

    def script(peer):
        with pytest.raises(OSError):
            peer.secure(context)

    with serving(script, scheme="tls") as server:
        with apus.Client(server.address, token=TOKEN, insecure=True) as client:
            with pytest.raises(apus.CertificateError):
                client.health()


def refusing(*frames):
    """The server's side of a refusal: it says why, and closes when the client has read that."""
    def script(peer):
        greeted(peer)
        peer.request()
        peer.send(b"".join(frames))
        peer.hang_up()
    return script


def test_a_refused_token(transport):
    scheme, options, begin = transport

    def script(peer):
        begin(peer)
        refusing(status(HELLO, 0, 16, b"TOKEN_UNKNOWN"))(peer)

    with serving(script, script, scheme=scheme) as server:
        with apus.Client(server.address, token=TOKEN, **options) as client:
            with pytest.raises(apus.Unauthenticated, match="UNAUTHENTICATED: no; give") as caught:
                client.health()
            assert (caught.value.code, caught.value.reason) == (apus.Code.UNAUTHENTICATED, "TOKEN_UNKNOWN")
            assert server.connections == 1, "a refused token is not tried again by itself"
            with pytest.raises(apus.Unauthenticated):
                client.classify_many("m", [[1.0]] * 3)


def test_a_refused_token_though_the_server_does_not_take_the_request():
    def script(peer):
        greeted(peer)
        peer.send(status(HELLO, 0, 16))
        peer.hang_up()

    with serving(script) as server, apus.Client(server.address, token=TOKEN) as client:
        with pytest.raises(apus.Unauthenticated):
            client.classify("m", [[0.0] * 1000] * 4000)


def test_a_token_that_is_revoked_between_calls():
    """The connection ends between two calls: a new one is made, and that is refused."""
    said = threading.Event()

    def first(peer):
        greeted(peer)
        peer.send(welcome())
        health_once(peer)
        peer.send(status(HELLO, 0, 16))
        said.set()
        assert peer.ended()

    with serving(first, refusing(status(HELLO, 0, 16))) as server:
        with apus.Client(server.address, token=TOKEN) as client:
            client.health()
            said.wait(10)
            with pytest.raises(apus.Unauthenticated):
                client.health()


def test_an_answer_counts_though_the_connection_ends_with_it():
    def first(peer):
        greeted(peer)
        _, id, _, _ = peer.request()
        peer.send(welcome() + answer(HEALTH, id, SERVING) + status(HELLO, 0, 16))
        assert peer.ended()

    with serving(first, refusing(status(HELLO, 0, 16))) as server:
        with apus.Client(server.address, token=TOKEN) as client:
            assert client.health().detail == "rdy"
            with pytest.raises(apus.Unauthenticated):
                client.health()


def test_what_a_caller_may_not_do_keeps_the_connection():
    def script(peer):
        greeted(peer)
        peer.send(welcome())
        for code, reason, retry in ((7, b"NOT_ALLOWED", b""), (16, b"NO_IDENTITY", b""),
                                    (8, b"RATE", bytes.fromhex("80cab5ee01")), (8, b"BUSY", b"")):
            _, id, _, _ = peer.request()
            peer.send(status(CLASSIFY, id, code, reason, retry))
        health_once(peer)

    with serving(script) as server, apus.Client(server.address, token=TOKEN) as client:
        for kind, advice, retry_after in (
                (apus.PermissionDenied, "PERMISSION_DENIED: no; ask the server's operator", 0),
                (apus.Unauthenticated, "UNAUTHENTICATED: no; give the client a token", 0),
                (apus.ResourceExhausted, "RESOURCE_EXHAUSTED: no; call again in 0.5 s", 0.5),
                (apus.ResourceExhausted, "RESOURCE_EXHAUSTED: no; make fewer calls at a time", 0)):
            with pytest.raises(kind, match=advice) as caught:
                client.classify("m", [1.0])
            assert (caught.value.message, caught.value.retry_after) == ("no", retry_after)
            assert isinstance(caught.value, apus.StatusError)
        assert client.health().detail == "rdy"


BROKEN = {
    "another version": answer(HELLO, 0, b"\x08\x02"),
    "no version": answer(HELLO, 0),
    "a body": answer(HELLO, 0, b"\x08\x01", b"x"),
    "not its message": answer(HELLO, 0, b"\xff"),
    "another method": answer(HEALTH, 0, b"\x08\x01"),
    "two answers": welcome() + welcome(),
    "half an answer": answer(HELLO, 0, b"\x08\x01", flags=4),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_broken_answers_to_hello(data):
    def script(peer):
        greeted(peer)
        peer.request()
        peer.send(data)
        assert peer.ended(), "the connection is closed"

    with serving(script) as server, apus.Client(server.address, token=TOKEN) as client:
        with pytest.raises(apus.ProtocolError):
            client.health()


def test_an_answer_to_hello_that_was_not_said():
    def script(peer):
        peer.request()
        peer.send(welcome())
        assert peer.ended()

    with serving(script) as server, apus.Client(server.address) as client:
        with pytest.raises(apus.ProtocolError, match="asked for"):
            client.health()


def test_the_rest_of_the_calls_after_a_goaway_come_with_the_token():
    def leaving(peer):
        greeted(peer)
        _, id, _, _ = peer.request()
        peer.send(welcome() + goaway() + one_class(id, 0.5))
        assert peer.ended()

    def next_one(peer):
        greeted(peer)
        _, id, _, _ = peer.request()
        peer.send(welcome() + one_class(id, 0.25))

    with serving(leaving, next_one) as server, apus.Client(server.address, token=TOKEN) as client:
        results = client.classify_many("m", [[1.0], [2.0]], top=1, window=1)
    assert [result.probabilities[0] for result in results] == [0.5, 0.25]


def test_the_token_is_never_shown(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    for client in (apus.Client("tls://apus.example:7000", token=TOKEN),
                   apus.Client("tls://apus.example:7000", token_file=str(file))):
        assert repr(client) == str(client) == "Client('tls://apus.example:7000')"
        for value in vars(client).values():
            assert TOKEN not in repr(value) and TOKEN not in str(value)
    with serving(refusing(status(HELLO, 0, 16))) as server:
        with apus.Client(server.address, token=TOKEN) as client:
            with pytest.raises(apus.Unauthenticated) as caught:
                client.health()
    error = caught.value
    while error is not None:
        assert TOKEN not in repr(error) and TOKEN not in str(error) and TOKEN not in repr(vars(error))
        error = error.__cause__ or error.__context__
