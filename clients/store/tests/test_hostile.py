"""Stores that lie: nothing of them may lead out of the folder, or stop the process."""

import json
import time

import pytest

from stores import contents, files, index, sync
from test_s3 import FakeS3


def with_name(model="m", version=1, file="f"):
    entry = {"name": model, "versions": [{"version": version, "files": files((file, b"1"))}]}
    return json.dumps({"apus_index": 1, "models": [entry]}).encode()


@pytest.mark.parametrize("names", [
    {"model": name} for name in ["", ".", "..", ".apus", "../x", "a/b", "/etc", "a\0b", "é", "a b"]
] + [{"version": version} for version in [0, -1, 1.5, "1", "../1", 2**60, None]] + [
    {"file": name} for name in ["", ".", "..", ".f", "../f", "a/b", "/f", "a\nb", "a\0b", "a\x1b[0m", "x.part"]])
def test_names(web, tmp_path, names):
    web.objects["/index.json"] = with_name(**names)
    web.objects["/m/1/f"] = b"1"
    done = sync(web.url, tmp_path / "cache")
    assert done.code == 1
    assert "/index.json cannot be used: " in done.problems[0]
    assert (contents(tmp_path), done.error.count("\n")) == ({}, 1)


@pytest.mark.parametrize("text", [
    b"", b"[]", b"{}", b"null", b'{"apus_index": 2, "models": []}', b'{"apus_index": 1}', b"\xff\xfe",
    b'{"apus_index": 1, "models": [' + b"[" * 100_000, b'{"apus_index": 1, "models": [{"name": "m"}]}',
    b'{"apus_index": 1, "models": [{"name": "m", "versions": [{"version": 1, "files": []}]}]}',
    b'{"apus_index": 1, "models": [{"name": "m", "versions": [], "state": "x"}]}',
    index({"m": ({1: {str(n): b"" for n in range(65)}}, None)}),
    index({"m": ({1: {"f": b""}}, {"x": "y" * (1 << 20)})}),
    b'{"apus_index": 1, "models": [{"name": "m", "versions": []}, {"name": "m", "versions": []}]}',
])
def test_indexes(web, tmp_path, text):
    web.objects["/index.json"] = text
    done = sync(web.url, tmp_path)
    assert done.code == 1 and "/index.json cannot be used: " in done.problems[0]


def test_an_endless_index(web, tmp_path):
    web.objects["/index.json"] = b" " * ((16 << 20) + 1)
    done = sync(web.url, tmp_path)
    assert "/index.json is over 16777216 bytes" in done.problems[0]


def test_sizes(web, tmp_path):
    entry = index({"big": ({1: {"f": b"1"}}, None), "small": ({1: {"f": b"1"}}, None)})
    web.objects["/index.json"] = entry.replace(b'"size": 1', b'"size": 9007199254740992', 1)
    web.objects["/small/1/f"] = b"1"
    done = sync(web.url, tmp_path)
    assert "big version 1: it has more than 68719476736 bytes" in done.problems[0]
    assert contents(tmp_path) == {"small/1/f": b"1"}
    web.objects["/index.json"] = entry
    web.objects["/big/1/f"] = b"1"
    assert sync(web.url, tmp_path, "--max-bytes", "1").code == 0


BOMB = b"""<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">""" + b"".join(
    b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)) + b"""]>
<ListBucketResult><Contents><Key>m/1/&j;</Key></Contents></ListBucketResult>"""
OUTSIDE = b"""<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<ListBucketResult><Contents><Key>m/1/&a;</Key></Contents></ListBucketResult>"""


@pytest.mark.parametrize("text", [
    BOMB, OUTSIDE, b"", b"<", b"<html/>", b"<ListBucketResult>", b"<a>" * 100_000,
    b"<ListBucketResult><Contents><Key>" + b"k" * 10_000 + b"</Key></Contents></ListBucketResult>",
    b"<ListBucketResult><Contents><Size>-1</Size></Contents></ListBucketResult>",
    b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    b"<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%zz</Key></Contents></ListBucketResult>",
    b"<Error><Code>NoSuchKey</Code></Error>", b" " * ((8 << 20) + 1),
], ids=range(13))
def test_listings(tmp_path, text):
    with FakeS3({}) as fake:
        fake.objects["/bucket/"] = text
        begin = time.monotonic()
        done = fake.sync(tmp_path)
    assert done.code == 1 and len(done.problems) == 1
    assert time.monotonic() - begin < 20


def test_an_endless_listing(tmp_path):
    """Every page names the next."""
    with FakeS3({}) as fake:
        fake.objects["/bucket/"] = (
            b"<ListBucketResult><IsTruncated>true</IsTruncated>"
            b"<NextContinuationToken>again</NextContinuationToken></ListBucketResult>")
        done = fake.sync(tmp_path)
    assert "more than a million objects" in done.problems[0]


def test_names_in_a_listing(tmp_path):
    held = {f"m/1/{name}": b"1" for name in ["a/b", "../f", "x.part"]}
    with FakeS3({**held, "n/1/f": b"1", "o/1/f": b"1"}) as fake:
        done = fake.sync(tmp_path / "cache")
    assert done.code == 1
    assert done.problems == ["m version 1 holds a/b, which is no file name; it is left out"]
    assert contents(tmp_path / "cache") == {"n/1/f": b"1", "o/1/f": b"1"}
    assert contents(tmp_path) == {"cache/n/1/f": b"1", "cache/o/1/f": b"1"}


def test_redirections_are_few(web, tmp_path):
    web.faults["/index.json"] = [web.status(302, Location="/index.json")] * 9
    done = sync(web.url, tmp_path)
    assert done.code == 1 and len(web.asked("/index.json")) == 4


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"])
def test_redirections_lead_to_no_other_protocol(web, tmp_path, target):
    web.faults["/index.json"] = [web.status(302, Location=target)]
    done = sync(web.url, tmp_path)
    assert done.code == 1 and "Unsupported protocol" in done.problems[0]


def test_a_bucket_redirects_nowhere(tmp_path):
    with FakeS3({}) as fake:
        fake.faults["/bucket/index.json"] = [fake.status(302, Location=fake.url + "/elsewhere")]
        assert fake.sync(tmp_path).code == 1
        assert fake.asked("/elsewhere") == []


@pytest.mark.parametrize("url", [
    "", "models", "file:///etc", "ftp://x/y", "s3://", "s3://a", "s3://../x", "s3://bucket/../x", "https://",
    "https://user:password@host/", "https://host/../x", "https://host/a b", "https://host/#x"])
def test_urls(tmp_path, url):
    done = sync(url, tmp_path)
    assert (done.code, done.error.count("\n")) == (2, 1)
    assert "password@" not in done.error
