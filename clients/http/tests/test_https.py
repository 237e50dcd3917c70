"""HTTPS: certificates of both sides, a certificate that is replaced, and the wrong protocol on a port."""

import signal
import ssl
import subprocess

import pytest

from certificates import Authority
from serving import DIGIT, DIGITS, Server, is_problem, wait_until

CLASSIFY = "/v1/models/digits:classify"
POLICY = """\
identities:
  cert:shop: {models: [digits], methods: [classify]}
  cert:clerk: {models: ["*"], methods: [read]}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.sign("server", "server", "IP:127.0.0.1,DNS:localhost")


def options(certificate):
    return ["--tls-cert", certificate[0], "--tls-key", certificate[1]]


def trust(authority, own=None, alpn=()):
    context = ssl.create_default_context(cafile=authority.file)
    if own:
        context.load_cert_chain(*own)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory, certificate):
    with Server(tmp_path_factory.mktemp("encrypted"), options(certificate), "https") as server:
        yield server


@pytest.fixture(scope="module")
def mutual(tmp_path_factory, authority, certificate):
    folder = tmp_path_factory.mktemp("mutual")
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    policy.chmod(0o600)
    both = [*options(certificate), "--tls-client-ca", authority.file, "--policy", str(policy)]
    with Server(folder, both, "https") as server:
        yield server


def call(server, context, path=CLASSIFY):
    with server.connect(context) as raw:
        raw.request("POST", path, DIGIT)
        return raw.answer()


def test_python_checks_the_certificate(encrypted, authority):
    answer = call(encrypted, trust(authority))
    assert answer.status == 200 and answer.json()["results"][0]["classes"][0]["label"] == "7"
    with pytest.raises(ssl.SSLCertVerificationError):
        call(encrypted, ssl.create_default_context())


def test_curl_checks_the_certificate(encrypted, authority):
    command = ["curl", "-sS", "--max-time", "20", "-d", DIGIT.decode(), encrypted.url + CLASSIFY]
    done = subprocess.run([*command, "--cacert", authority.file], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and '"label":"7"' in done.stdout, (done.stdout, done.stderr)
    # CURLE_PEER_FAILED_VERIFICATION.
    assert subprocess.run(command, capture_output=True, timeout=30).returncode == 60


def test_many_rows_and_requests_on_one_connection(encrypted, authority):
    """Bodies and answers of more than one TLS record."""
    rows = DIGITS.inputs.tolist() * 20
    body = b'{"inputs": %s}' % str(rows).encode()
    assert len(body) > 1 << 16
    with encrypted.connect(trust(authority)) as raw:
        for _ in range(3):
            raw.request("POST", CLASSIFY, body)
            assert len(raw.answer().json()["results"]) == len(rows)


@pytest.mark.parametrize("offered,chosen", [(("h2", "http/1.1"), "http/1.1"), (("http/1.1",), "http/1.1"), ((), None)])
def test_http_1_1_is_chosen(encrypted, authority, offered, chosen):
    with encrypted.connect(trust(authority, alpn=offered)) as raw:
        assert raw.socket.selected_alpn_protocol() == chosen
        raw.request("GET", "/healthz")
        assert raw.answer().status == 200


def test_the_certificate_is_who_calls(mutual, authority):
    shop = trust(authority, authority.sign("shop", "shop", "DNS:shop"))
    assert call(mutual, shop).status == 200
    assert is_problem(call(mutual, shop, "/v1/models/textclassifier:classify"), 403, "ACCESS_DENIED")
    clerk = trust(authority, authority.sign("clerk", "clerk", "DNS:clerk"))
    assert is_problem(call(mutual, clerk), 403, "ACCESS_DENIED")
    # Who it is is known, and the policy names nobody of that name.
    stranger = trust(authority, authority.sign("stranger", "stranger", "DNS:stranger"))
    assert is_problem(call(mutual, stranger), 403, "ACCESS_DENIED")


def test_without_a_good_certificate_the_connection_ends_with_its_alert(mutual, authority, tmp_path):
    other = Authority(tmp_path, "other").sign("shop", "shop", "DNS:shop")
    expired = authority.sign("expired", "shop", "DNS:shop", days=-1)
    for own, alert in ((None, "CERTIFICATE_REQUIRED"), (other, "UNKNOWN_CA"), (expired, "CERTIFICATE_EXPIRED")):
        # With TLS 1.3 the client's handshake is over before the server's: it learns of it when it reads (RFC 8446,
        # section 4.4.2.4). A client that writes meanwhile may find the connection closed.
        with mutual.connect(trust(authority, own)) as raw, pytest.raises(ssl.SSLError) as error:
            raw.socket.recv(1)
        assert error.value.reason.endswith(f"ALERT_{alert}"), error.value
    assert call(mutual, trust(authority, authority.sign("shop", "shop", "DNS:shop"))).status == 200


def test_a_replaced_certificate_is_shown_after_sighup(tmp_path, authority):
    first = authority.sign("first", "first", "IP:127.0.0.1")
    second = authority.sign("second", "second", "IP:127.0.0.1")
    paths = tmp_path / "own.pem", tmp_path / "own.key"

    def install(pair):
        for path, source in zip(paths, pair):
            path.write_bytes(open(source, "rb").read())

    def shown(server):
        with server.connect(trust(authority)) as raw:
            return dict(pair for part in raw.socket.getpeercert()["subject"] for pair in part)["commonName"]

    install(first)
    with Server(tmp_path, options([str(path) for path in paths]), "https") as server:
        with server.connect(trust(authority)) as old:
            assert shown(server) == "first"
            install(second)
            server.signal(signal.SIGHUP)
            wait_until(lambda: shown(server) == "second", "the new certificate is shown")
            # Connections that were there go on.
            old.request("POST", CLASSIFY, DIGIT)
            assert old.answer().status == 200
        paths[0].write_text("nonsense")
        server.signal(signal.SIGHUP)
        wait_until(lambda: "stays as it was" in server.log.read_text(), "the broken file is refused")
        assert shown(server) == "second"


def test_plain_http_to_https_ends(encrypted, authority):
    for _ in range(20):
        with encrypted.connect() as raw:
            raw.request("GET", "/healthz")
            try:
                # An alert may come first.
                assert not raw.file.read().startswith(b"HTTP/")
            except ConnectionResetError:
                pass
    assert call(encrypted, trust(authority)).status == 200


def test_https_to_plain_http_ends(server, authority):
    for _ in range(20):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            server.connect(trust(authority))
    assert call(server, None).status == 200


def test_a_connection_that_ends_in_its_handshake(encrypted, authority):
    for part in (b"\x16", b"\x16\x03\x01\x00\x05\x01\x00", b""):
        with encrypted.connect() as raw:
            raw.send(part)
    assert call(encrypted, trust(authority)).status == 200
