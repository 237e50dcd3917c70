"""`apus serve` on a store: what changes there is served without a restart."""

import json
import os
import signal
import subprocess
from pathlib import Path

from stores import PROGRAM, WebServer, environment, eventually

APUS = Path(PROGRAM).resolve().with_name("apus")
DIGITS = Path(__file__).resolve().parents[3] / "models/repository/digits/1"


def state(**aliases):
    return json.dumps({"apus_state": 1, "aliases": aliases}).encode()


def publish(s3, version):
    for file in DIGITS.iterdir():
        s3.put(f"digits/{version}/{file.name}", file.read_bytes())


def server_environment(variables):
    """Of this process without what is said to `apus-store` alone, and these."""
    plain = {key: value for key, value in environment({}).items() if not key.startswith("APUS_")}
    return {**plain, **variables}


class Server:
    """`apus serve` on a store, ended at the end of its `with`; `lines` is its log, once it has ended."""

    def __init__(self, url, folder, cache, variables, *arguments):
        folder.mkdir(exist_ok=True)
        self.socket = folder / "s"
        self.log = folder / "log"
        own = {"APUS_STORE_INTERVAL": "1", "APUS_STORE_CACHE": str(cache)}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [APUS, "serve", "--models", url, "--listen", f"unix:{self.socket}", "--threads", "1", *arguments],
                env=server_environment({**variables, **own}), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        eventually(lambda: self.socket.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            assert self.process.wait(timeout=20) == 0, self.log.read_text()
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def models(self):
        """{version: (state, aliases)} of digits."""
        done = subprocess.run(
            [APUS, "models", "--to", f"unix:{self.socket}", "--json"], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return {
            model["version"]: (model["state"], sorted(model["aliases"]))
            for model in json.loads(done.stdout)["models"]}

    def followers(self):
        """Processes of `apus-store` that it started."""
        found = []
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            found += [int(pid) for pid in (thread / "children").read_text().split()]
        return found


def test_two_servers_of_one_bucket_come_to_the_same_alias(s3, tmp_path):
    publish(s3, 1)
    publish(s3, 2)
    s3.put("digits/state.json", state(stable=1))
    with Server(s3.url, tmp_path / "a", tmp_path / "ca", s3.variables) as a, \
            Server(s3.url, tmp_path / "b", tmp_path / "cb", s3.variables) as b:
        for server in (a, b):
            assert server.models() == {1: ("ready", ["stable"]), 2: ("ready", ["latest"])}
        s3.put("digits/state.json", state(stable=2))
        for server in (a, b):
            eventually(lambda: server.models() == {1: ("ready", []), 2: ("ready", ["latest", "stable"])})


def test_two_servers_of_one_cache_both_see_a_change(s3, tmp_path):
    publish(s3, 1)
    with Server(s3.url, tmp_path / "a", tmp_path / "c", s3.variables) as a, \
            Server(s3.url, tmp_path / "b", tmp_path / "c", s3.variables) as b:
        s3.put("digits/state.json", state(stable=1))
        for server in (a, b):
            eventually(lambda: server.models() == {1: ("ready", ["latest", "stable"])})


def test_a_new_version_is_served_with_its_alias(s3, tmp_path):
    publish(s3, 1)
    s3.put("digits/state.json", state(stable=1))
    with Server(s3.url, tmp_path / "a", tmp_path / "c", s3.variables) as server:
        assert server.models() == {1: ("ready", ["latest", "stable"])}
        publish(s3, 2)
        s3.put("digits/state.json", state(stable=2))
        eventually(lambda: server.models() == {1: ("ready", []), 2: ("ready", ["latest", "stable"])})
    # What the store decided is on disk as it said it.
    assert json.loads((tmp_path / "c/digits/state.json").read_bytes())["aliases"] == {"stable": 2}


def test_what_the_store_withdraws_is_out_of_service_and_comes_back(s3, tmp_path):
    publish(s3, 1)
    publish(s3, 2)
    with Server(s3.url, tmp_path / "a", tmp_path / "c", s3.variables) as server:
        assert server.models() == {1: ("ready", []), 2: ("ready", ["latest"])}
        s3.put("digits/state.json", json.dumps({"apus_state": 1, "aliases": {}, "withdrawn": [2]}).encode())
        eventually(lambda: server.models() == {1: ("ready", ["latest"]), 2: ("withdrawn", [])})
        s3.put("digits/state.json", state(back=2))
        eventually(lambda: server.models() == {1: ("ready", []), 2: ("ready", ["back", "latest"])})


def test_a_state_that_is_none_leaves_what_is_served(s3, tmp_path):
    publish(s3, 1)
    s3.put("digits/state.json", state(stable=1))
    with Server(s3.url, tmp_path / "a", tmp_path / "c", s3.variables) as server:
        s3.put("digits/state.json", b'{"apus_state": 7}')
        eventually(lambda: "stays as it was" in server.log.read_text())
        assert server.models() == {1: ("ready", ["latest", "stable"])}
        s3.put("digits/state.json", state(other=1))
        eventually(lambda: server.models() == {1: ("ready", ["latest", "other"])})


def test_an_unreachable_store_and_a_full_cache(s3, tmp_path):
    publish(s3, 1)
    assert s3.sync(tmp_path / "c").code == 0
    variables = {**s3.variables, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    with Server(s3.url, tmp_path / "a", tmp_path / "c", variables) as server:
        assert server.models() == {1: ("ready", ["latest"])}
        assert "the store is not in step; what" in server.log.read_text()


def test_an_unreachable_store_and_an_empty_cache(s3, tmp_path):
    variables = {**s3.variables, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    server = Server(s3.url, tmp_path / "a", tmp_path / "c", variables)
    assert server.process.wait(timeout=60) == 1
    last = server.log.read_text().splitlines()[-1]
    assert "the store cannot be used, and" in last and "is empty: " in last
    assert not server.socket.exists()


def test_the_follower_is_started_again_and_ends_with_the_server(s3, tmp_path):
    publish(s3, 1)
    with Server(s3.url, tmp_path / "a", tmp_path / "c", s3.variables) as server:
        eventually(server.followers)
        first, = server.followers()
        os.kill(first, signal.SIGKILL)
        eventually(lambda: server.followers() and server.followers() != [first])
        publish(s3, 2)
        eventually(lambda: server.models() == {1: ("ready", []), 2: ("ready", ["latest"])})
        second, = server.followers()
    assert not Path(f"/proc/{second}").exists()
    assert "apus-store ended with status 137" in server.log.read_text()


def test_the_follower_ends_where_the_server_is_killed(s3, tmp_path):
    publish(s3, 1)
    server = Server(s3.url, tmp_path / "a", tmp_path / "c", s3.variables)
    eventually(server.socket.exists)
    eventually(server.followers)
    follower, = server.followers()
    server.process.kill()
    server.process.wait()
    def has_ended():
        try:
            return Path(f"/proc/{follower}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True
    eventually(has_ended)


def test_a_store_with_a_certificate_of_its_own(certificate, tmp_path):
    with WebServer(certificate) as web:
        web.publish({"digits": ({1: {file.name: file.read_bytes() for file in DIGITS.iterdir()}}, None)})
        with Server(web.url, tmp_path / "a", tmp_path / "cache", {"APUS_STORE_CA": str(certificate[0])}) as server:
            assert server.models() == {1: ("ready", ["latest"])}
        lonely = subprocess.run(
            [APUS, "serve", "--models", web.url, "--listen", f"unix:{tmp_path / 's'}"], capture_output=True, text=True,
            timeout=60,
            env=server_environment({"APUS_STORE_CACHE": str(tmp_path / "other")}))
        assert lonely.returncode == 1 and "certificate" in lonely.stderr
