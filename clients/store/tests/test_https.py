"""A store on a web server with a certificate of its own making."""

from stores import WebServer, contents, sync


def test_its_certificate_is_named(certificate, tmp_path):
    with WebServer(certificate) as web:
        web.publish({"m": ({1: {"f": b"1"}}, None)})
        done = sync(web.url, tmp_path / "cache", "--ca", str(certificate[0]))
        assert done.code == 0, done.error
        assert contents(tmp_path / "cache") == {"m/1/f": b"1"}
        done = sync(web.url, tmp_path / "other")
        assert done.code == 1
        assert "name the file with the certificates that sign it by --ca" in done.problems[0]
        assert contents(tmp_path / "other") == {}


def test_another_host_with_this_certificate_is_refused(certificate, tmp_path):
    with WebServer(certificate) as web:
        web.publish({"m": ({1: {"f": b"1"}}, None)})
        url = web.url.replace("localhost", "127.0.0.1")
        assert sync(url, tmp_path / "cache", "--ca", str(certificate[0])).code == 1


def test_no_redirection_leaves_encryption(certificate, web, tmp_path):
    with WebServer(certificate) as secure:
        secure.faults["/index.json"] = [secure.status(302, Location=web.url + "/index.json")]
        web.publish({"m": ({1: {"f": b"1"}}, None)})
        done = sync(secure.url, tmp_path / "cache", "--ca", str(certificate[0]))
        assert done.code == 1 and "a redirection may not leave https" in done.problems[0]
        assert web.requests == []


def test_a_file_of_certificates_that_is_none(tmp_path):
    done = sync("https://localhost/", tmp_path, "--ca", str(tmp_path / "missing.pem"))
    assert (done.code, done.error.count("\n")) == (2, 1)
