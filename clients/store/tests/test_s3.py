"""A store in S3: its listing, or an index in it."""

import hashlib
import json
import os

import boto3
import pytest
import urllib.request

from stores import Follower, WebServer, contents, eventually, files, index, sync

BIG = os.urandom(300_000)


def test_a_listing_is_enough(s3, tmp_path):
    s3.put("digits/1/model.pth", b"one")
    s3.put("digits/1/a b+ü.txt", b"text")
    s3.put("digits/1/empty", b"")
    s3.put("digits/12/model.pth", b"twelve")
    s3.put("digits/state.json", b'{"aliases": {}}')
    for strange in [
            "README.md", "digits/notes.txt", "digits/x/model.pth", "digits/01/f", "digits/1/", "digits/1/.DS_Store",
            "digits/1/.git/config", ".hidden/1/f", "../up/1/f", "a b/1/f"]:
        s3.put(strange, b"not ours")
    done = s3.sync(tmp_path)
    assert done.code == 0, done.error
    assert contents(tmp_path) == {
        "digits/1/model.pth": b"one", "digits/1/a b+ü.txt": b"text", "digits/1/empty": b"",
        "digits/12/model.pth": b"twelve", "digits/state.json": b'{"aliases": {}}'}
    assert s3.sync(tmp_path).document == {"in_step": True, "fetched": [], "new_states": [], "errors": []}


def test_a_listing_of_more_than_a_page(s3, tmp_path):
    expected = {}
    for model in range(21):
        for version in range(1, 51):
            s3.put(f"m{model}/{version}/f", b"%d %d" % (model, version))
            expected[f"m{model}/{version}/f"] = b"%d %d" % (model, version)
    done = s3.sync(tmp_path, "--concurrency", "8")
    assert done.code == 0, done.error
    assert contents(tmp_path) == expected


def test_an_index_in_the_bucket_goes_before_the_listing(s3, tmp_path):
    s3.put("m/1/f", b"1")
    s3.put("m/2/f", b"2, not whole yet")
    s3.put("index.json", index({"m": ({1: {"f": b"1"}}, {"a": 1})}))
    assert s3.sync(tmp_path).code == 0
    assert contents(tmp_path) == {"m/1/f": b"1", "m/state.json": b'{"a": 1}'}


def test_a_manifest_says_what_a_version_is(s3, tmp_path):
    manifest = json.dumps({"files": files(("model.pth", BIG), ("model.yaml", b"y"))}).encode()
    s3.put("m/1/model.pth", BIG)
    s3.put("m/1/manifest.json", manifest)
    done = s3.sync(tmp_path)
    assert done.code == 1 and "model.yaml is missing or has not 1 bytes" in done.problems[0]
    assert contents(tmp_path) == {}
    s3.put("m/1/model.yaml", b"x")
    assert "has the digest " in s3.sync(tmp_path).problems[0]
    s3.put("m/1/model.yaml", b"y")
    assert s3.sync(tmp_path).code == 0
    assert contents(tmp_path) == {"m/1/model.pth": BIG, "m/1/model.yaml": b"y", "m/1/manifest.json": manifest}


def test_a_version_in_the_bucket_that_changed_is_told(s3, tmp_path):
    s3.put("m/1/f", b"first")
    assert s3.sync(tmp_path).code == 0
    s3.put("m/1/f", b"other")
    for _ in range(2):
        done = s3.sync(tmp_path)
        assert done.code == 1 and "m version 1: f is another in the store" in done.problems[0]
    assert contents(tmp_path) == {"m/1/f": b"first"}


def test_an_upload_of_several_parts_has_no_md5(s3, tmp_path):
    key = f"{s3.prefix}/m/1/f"
    upload = s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)["UploadId"]
    data = os.urandom(6 << 20)
    parts = []
    for number, piece in enumerate([data[:5 << 20], data[5 << 20:]], 1):
        answer = s3.client.upload_part(
            Bucket=s3.bucket, Key=key, PartNumber=number, UploadId=upload, Body=piece)
        parts.append({"ETag": answer["ETag"], "PartNumber": number})
    s3.client.complete_multipart_upload(
        Bucket=s3.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.sync(tmp_path).code == 0
    assert contents(tmp_path) == {"m/1/f": data}


def test_an_md5_that_does_not_fit(tmp_path):
    with FakeS3({"m/1/f": b"right"}) as fake:
        fake.objects["/bucket/m/1/f"] = b"wrong"
        done = fake.sync(tmp_path)
        assert done.code == 1 and f"etag:{hashlib.md5(b'right').hexdigest()}" in done.problems[0]
        assert contents(tmp_path) == {}


def test_an_etag_under_the_customers_key_is_no_md5(tmp_path):
    with FakeS3({"m/1/f": b"right"}) as fake:
        fake.faults["/bucket/m/1/f"] = [
            fake.status(200, b"other", x_amz_server_side_encryption="aws:kms")]
        assert fake.sync(tmp_path).code == 0
        assert contents(tmp_path) == {"m/1/f": b"other"}


def test_two_followers_converge(s3, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    s3.put("m/1/f", b"1")
    s3.put("m/state.json", b'{"prod": 1}')
    with Follower(s3.url, folders[0], variables=s3.variables), \
            Follower(s3.url, folders[1], variables=s3.variables):
        eventually(lambda: all((folder / "m/state.json").exists() for folder in folders))
        s3.put("m/2/f", b"2")
        s3.put("m/state.json", b'{"prod": 2}')

        def converged():
            return [contents(folder) for folder in folders] == 2 * [
                {"m/1/f": b"1", "m/2/f": b"2", "m/state.json": b'{"prod": 2}'}]

        eventually(converged)


def test_a_follower_waits_for_an_upload_without_manifest(tmp_path):
    """The first listing shows one file of two: a follower takes what two listings show alike."""
    with FakeS3({"m/1/a": b"a"}) as fake:
        both = FakeS3.listing({"m/1/a": b"a", "m/1/b": b"b"})
        fake.objects["/bucket/m/1/b"] = b"b"
        first = fake.objects.pop("/bucket/")
        fake.faults["/bucket/"] = [fake.status(200, first)]
        fake.objects["/bucket/"] = both
        with Follower("s3://bucket/", tmp_path, variables=fake.variables):
            eventually(lambda: contents(tmp_path) != {})
        assert contents(tmp_path) == {"m/1/a": b"a", "m/1/b": b"b"}


def test_no_such_bucket(s3, tmp_path):
    done = sync("s3://no-such-bucket/x", tmp_path, variables=s3.variables)
    assert done.code == 1
    assert "status 404 (NoSuchBucket)" in done.problems[0]


def test_denied(tmp_path):
    body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    with FakeS3({}) as fake:
        fake.faults["/bucket/index.json"] = [fake.status(403, body)]
        fake.faults["/bucket/"] = [fake.status(403, body)]
        done = fake.sync(tmp_path)
    assert done.code == 1
    [problem] = done.problems
    assert "status 403 (AccessDenied); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in problem


def test_another_region_is_named(tmp_path):
    with FakeS3({}) as fake:
        fake.faults["/bucket/index.json"] = [fake.status(301, b"", x_amz_bucket_region="eu-west-3")]
        done = fake.sync(tmp_path)
    assert "the bucket is in the region eu-west-3: use --region" in done.problems[0]


def test_only_half_of_the_credentials(tmp_path):
    done = sync("s3://bucket/x", tmp_path, variables={"AWS_ACCESS_KEY_ID": "access"})
    assert done.code == 2 and done.error.count("\n") == 1


def test_requests_are_signed_as_s3_asks(moto, tmp_path):
    """moto checks signatures as S3 does once it is told to; keys that need escapes, ranges and pages too."""
    variables = {"region_name": "us-east-1", "endpoint_url": moto}
    plain = {"aws_access_key_id": "a", "aws_secret_access_key": "b", **variables}
    iam = boto3.client("iam", **plain)
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    iam.put_user_policy(
        UserName="reader", PolicyName="read", PolicyDocument=json.dumps({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}]}))
    s3 = boto3.client("s3", **plain)
    s3.create_bucket(Bucket="signed")
    held = {f"m/{version}/a b+ü~$&(1).txt": b"%d" % version for version in range(1, 4)}
    for path, data in held.items():
        s3.put_object(Bucket="signed", Key=path, Body=data)
    reset_auth(moto, b"0")
    try:
        good = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_ENDPOINT_URL": moto}
        done = sync("s3://signed", tmp_path / "all", variables=good)
        assert done.code == 0, done.error
        assert contents(tmp_path / "all") == held
        done = sync("s3://signed", tmp_path / "bad", variables={**good, "AWS_SECRET_ACCESS_KEY": "wrong"})
        assert done.code == 1
        assert "status 403 (SignatureDoesNotMatch); check the AWS_… credentials" in done.problems[0]
    finally:
        reset_auth(moto, b"inf")


def reset_auth(moto, calls):
    """moto checks who calls after so many calls."""
    urllib.request.urlopen(
        urllib.request.Request(
            moto + "/moto-api/reset-auth", data=calls, headers={"Content-Type": "text/plain"}, method="POST"))


class FakeS3(WebServer):
    """Answers a bucket's listing as a test asks."""

    def __init__(self, held):
        super().__init__()
        self.objects["/bucket/"] = self.listing(held)
        for key, data in held.items():
            self.objects["/bucket/" + key] = data
        self.variables = {"AWS_ENDPOINT_URL": self.url}

    @staticmethod
    def listing(held):
        entries = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(data)}</Size>"
            f"<ETag>&quot;{hashlib.md5(data).hexdigest()}&quot;</ETag></Contents>" for key, data in held.items())
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()

    def sync(self, folder):
        return sync("s3://bucket", folder, variables=self.variables)
