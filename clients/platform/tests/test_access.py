"""Who may change models: root and the server's own user over a Unix socket, and whom the policy names."""
import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile

import apus
import numpy as np
import pytest

from conftest import DIGITS, free_port

ROWS = np.full((1, 64), 0.5, "f4")
NOBODY = 65534


@pytest.fixture
def open_repository():
    """A repository whose socket every user can reach."""
    folder = tempfile.mkdtemp(prefix="apus-access-")
    os.chmod(folder, 0o755)
    shutil.copytree(DIGITS, folder + "/models/digits/1")
    yield folder + "/models"
    shutil.rmtree(folder)


def as_nobody(work):
    """What a function gives, run by another user in a process of its own."""
    receiving, sending = multiprocessing.Pipe(False)

    def run():
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        sending.send(work())

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    assert receiving.poll(30), "no answer"
    process.join(30)
    return receiving.recv()


def try_everything(address, **arguments):
    """Class and reason of what each act of administration fails with; None where it does not."""
    client = apus.Client(address, **arguments)
    outcomes = {"classify": lambda: client.classify("digits", ROWS),
                "alias": lambda: client.alias("digits", "stable", 1),
                "rollback": lambda: client.rollback("digits", 1),
                "withdraw": lambda: client.withdraw("digits", 7),
                "publish": lambda: client.publish(str(DIGITS), "digits")}
    for name, act in outcomes.items():
        try:
            act()
            outcomes[name] = None
        except apus.StatusError as error:
            outcomes[name] = error.reason
    return outcomes


REFUSED = {"classify": None, "alias": "ACCESS_DENIED", "rollback": "ACCESS_DENIED", "withdraw": "ACCESS_DENIED",
           "publish": "ACCESS_DENIED"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_may_classify_and_nothing_else(open_repository, serve):
    server = serve(open_repository, APUS_SOCKET_MODE="0666")
    assert as_nobody(lambda: try_everything(server.address)) == REFUSED
    own = try_everything(server.address)
    assert own == {"classify": None, "alias": None, "rollback": None, "withdraw": "VERSION_NOT_FOUND", "publish": None}


def test_root_is_nobody_over_tcp(repository, serve):
    address = f"tcp://127.0.0.1:{free_port()}"
    serve(repository, "--listen", address)
    assert try_everything(address) == REFUSED


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_policy_names_who_may_change_which_model(open_repository, serve, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"""
identities:
  uid:{NOBODY}: {{models: [digits], methods: [classify, read, admin]}}
""")
    policy.chmod(0o600)
    server = serve(open_repository, "--policy", str(policy), APUS_SOCKET_MODE="0666")

    def work():
        client = apus.Client(server.address)
        version = client.publish(str(DIGITS), "digits").model.version
        try:
            client.publish(str(DIGITS), "other")
            return version, None
        except apus.StatusError as error:
            return version, error.reason

    assert as_nobody(work) == (2, "ACCESS_DENIED")
    lines = [json.loads(line) for line in open(open_repository + "/.apus/audit.log")]
    assert [(line["act"], line["model"], line["who"], line["result"]) for line in lines] == [
        ("publish", "digits", f"uid:{NOBODY}", "ok"), ("publish", "other", f"uid:{NOBODY}", "PERMISSION_DENIED")]


def test_a_token_may_publish_over_tcp_and_no_other_caller(repository, serve, tmp_path):
    policy = tmp_path / "policy.yaml"
    digest = hashlib.sha256(b"token-of-the-release-job").hexdigest()
    policy.write_text(f"""
identities:
  token:release: {{models: ["*"], methods: [classify, read, admin]}}
  anonymous: {{models: ["*"], methods: [classify, read]}}
tokens:
  release: {{hash: "sha256:{digest}", expires: 2099-01-01T00:00:00Z}}
""")
    policy.chmod(0o600)
    address = f"tcp://127.0.0.1:{free_port()}"
    serve(repository, "--listen", address, "--policy", str(policy))
    anonymous = try_everything(address)
    assert anonymous.pop("classify") is None and set(anonymous.values()) == {"CREDENTIALS_REQUIRED"}
    allowed = try_everything(address, token="token-of-the-release-job")
    assert allowed == {"classify": None, "alias": None, "rollback": None, "withdraw": "VERSION_NOT_FOUND", "publish": None}
