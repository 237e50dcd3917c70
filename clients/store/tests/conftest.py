"""Stores to sync from: S3 by moto's server, and web servers that misbehave where a test asks them to."""

import os
import subprocess
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from stores import Store, WebServer

ACCESS = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


def pytest_collection_modifyitems(items):
    if "APUS_STORE" not in os.environ:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="APUS_STORE names no apus-store"))


@pytest.fixture(scope="session")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(moto, request):
    """An empty bucket, as a client of boto3 and the environment that `apus-store` needs for it."""
    client = boto3.client(
        "s3", endpoint_url=moto, region_name="us-east-1", aws_access_key_id="access",
        aws_secret_access_key="secret")
    bucket = "b" + "".join(c for c in request.node.name.lower() if c.isalnum())[:60]
    client.create_bucket(Bucket=bucket)
    return Store(client, bucket, {**ACCESS, "AWS_ENDPOINT_URL": moto})


@pytest.fixture
def web():
    with WebServer() as server:
        yield server


@pytest.fixture
def certificate(tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    return certificate, key
