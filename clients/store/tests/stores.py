"""What the tests sync from, and how they run `apus-store`."""

import hashlib
import json
import os
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROGRAM = os.environ.get("APUS_STORE", "apus-store")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def files(*pairs):
    """Entries of an index or a manifest for (name, bytes)."""
    return [{"name": name, "size": len(data), "sha256": sha256(data)} for name, data in pairs]


def index(models):
    """An index for {name: ({version: {file: bytes}}, state or None)}."""
    result = []
    for name, (versions, state) in models.items():
        entry = {
            "name": name,
            "versions": [
                {"version": number, "files": files(*held.items())} for number, held in versions.items()],
        }
        if state is not None:
            entry["state"] = state
        result.append(entry)
    return json.dumps({"apus_index": 1, "models": result}).encode()


def contents(folder):
    """Every file that a server would read, by its path: nothing hidden."""
    folder = Path(folder)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


class Result:
    def __init__(self, done):
        self.code = done.returncode
        self.output = done.stdout
        self.error = done.stderr
        self.document = json.loads(done.stdout) if done.stdout else None

    @property
    def problems(self):
        return self.document["errors"]


def environment(variables=None):
    plain = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return {**plain, "SWIFT_BACKTRACE": "enable=no", **(variables or {})}


def sync(url, folder, *arguments, variables=None):
    """Runs it once, with a JSON document."""
    done = subprocess.run(
        [PROGRAM, "sync", url, str(folder), "--json", *arguments], env=environment(variables),
        capture_output=True, text=True, timeout=60)
    return Result(done)


class Follower:
    """`apus-store sync --follow`, ended at the end of its `with`."""

    def __init__(self, url, folder, *arguments, variables=None):
        self.process = subprocess.Popen(
            [PROGRAM, "sync", url, str(folder), "--follow", "--interval", "0.2", *arguments],
            env=environment(variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.output, self.error = self.process.communicate(timeout=20)


def eventually(condition):
    for _ in range(400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to be")


class Store:
    """A bucket, with a prefix that has to be escaped."""

    prefix = "models/für+1"

    def __init__(self, client, bucket, variables):
        self.client = client
        self.bucket = bucket
        self.variables = variables

    @property
    def url(self):
        return f"s3://{self.bucket}/{self.prefix}"

    def put(self, key, data):
        self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}", Body=data)

    def delete(self, key):
        self.client.delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")

    def sync(self, folder, *arguments):
        return sync(self.url, folder, *arguments, variables=self.variables)


class WebServer:
    """Serves `objects` (path: bytes) with ETags and ranges. `faults` (path: functions) are called instead of
    answering, the first one first, each once; `requests` are the paths and headers that came."""

    def __init__(self, certificate=None):
        self.objects = {}
        self.faults = {}
        self.tags = {}
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.requests.append((self.path, dict(self.headers)))
                waiting = outer.faults.get(self.path.partition("?")[0])
                if waiting:
                    return waiting.pop(0)(self)
                outer.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://localhost:{self.server.server_port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def tag(self, path):
        return self.tags.get(path) or '"' + hashlib.md5(self.objects[path]).hexdigest() + '"'

    def answer(self, handler, cut=None):
        """- cut: how many bytes of the body come before the connection breaks."""
        path = handler.path.partition("?")[0]
        data = self.objects.get(path)
        if data is None:
            return self.status(404)(handler)
        tag = self.tag(path)
        if handler.headers.get("If-None-Match") == tag:
            return self.status(304)(handler)
        if handler.headers.get("If-Match", tag) != tag:
            return self.status(412)(handler)
        wanted = handler.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        handler.send_response(206 if wanted else 200)
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if tag != "none":
            handler.send_header("ETag", tag)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start:][:cut])
        if cut is not None:
            handler.close_connection = True

    def cut(self, count):
        """A fault: so many bytes, and the end."""
        return lambda handler: self.answer(handler, cut=count)

    @staticmethod
    def status(code, body=b"", **headers):
        """A fault: this status."""

        def answer(handler):
            handler.send_response(code)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            if code != 304:
                handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        return answer

    def publish(self, models, state=None):
        """Puts every file, and the index last. `models`: {name: ({version: {file: bytes}}, state)}."""
        for name, (versions, _) in models.items():
            for number, held in versions.items():
                for file, data in held.items():
                    self.objects[f"/{name}/{number}/{file}"] = data
        self.objects["/index.json"] = index(models)

    def asked(self, path):
        return [headers for asked, headers in self.requests if asked.partition("?")[0] == path]
