"""What the rows over HTTP need: wrk, and gunicorn with Flask."""

import contextlib
import os
import shutil
import socket
import threading
import urllib.request

from machine import BenchError, ServerProcess, run
from peers import TEXT_MODEL, check_answer, classify_frame, parse, read_frame, require_executable, sample

MANY_MODELS = 500
SCRAPE_SECONDS = 1

HERE = os.path.dirname(os.path.abspath(__file__))
# Debian's own, whose modules are Debian's too.
PYTHON = "/usr/bin/python3"


def free_port():
  with socket.create_server(("127.0.0.1", 0)) as probe:
    return probe.getsockname()[1]


class Rest:
  """POST /classify over connections that are kept, where the server keeps them. Of one call at a time the client
  polls, or it is wrk, which sleeps until the answer comes; of many it is wrk, on one thread."""

  def __init__(self, folder):
    self.folder = folder
    self.script = os.path.join(HERE, "baselines", "classify.lua")
    self.polling_client = require_executable(os.path.join(HERE, "build", "http_client"), "make -C benchmarks raw")
    for program in ("wrk", "gunicorn"):
      if not shutil.which(program):
        raise BenchError(f"there is no {program}; install the Debian packages wrk, gunicorn and python3-flask")

  def of_apus(self, apus, seconds, connections, polls=False):
    options = ["--http", "127.0.0.1:0", "--threads", "1"]
    server = ServerProcess(
        [apus.path, "serve", "--listen", apus.address, "--models", apus.models, *options], apus.socket_path,
        environment={"APUS_DEFAULT_MODEL": TEXT_MODEL})
    with server:
      port = server.logged(r"serving HTTP on http://127\.0\.0\.1:(\d+)")
      return self._call(server, port, seconds, connections, polls)

  def of_flask(self, worker, seconds, connections, polls=False):
    """`sync` closes every connection; `gthread` keeps them, in four threads for each of two processes."""
    port = free_port()
    threads = ["--threads", "4"] if worker == "gthread" else []
    command = [PYTHON, "-m", "gunicorn", "--chdir", os.path.join(HERE, "baselines"), "--workers", "2",
               "--worker-class", worker, *threads, "--bind", f"127.0.0.1:{port}", "--log-level", "warning",
               "flask_app:app"]
    environment = {"OPENBLAS_NUM_THREADS": "1"}
    with ServerProcess(command, os.path.join(self.folder, "flask"), None, environment, port) as server:
      return self._call(server, port, seconds, connections, polls)

  def _call(self, server, port, seconds, connections, polls):
    url = f"http://127.0.0.1:{port}/classify"
    wrk = ["wrk", "-t", "1", "-c", str(connections), "--latency", "-s", self.script, url]
    # The first calls start workers.
    run([*wrk, "-d", "1s"], timeout=60)
    if polls:
      command = [self.polling_client, str(port), str(seconds)]
    else:
      command = [*wrk, "-d", f"{max(1, round(seconds))}s"]
    before = server.usage()
    text, client = run(command, timeout=60 + 2 * seconds)
    used = server.usage() - before
    report = parse(text, os.path.basename(command[0]))
    if report["errors"] or not report["calls"]:
      raise BenchError(f"{report['errors']} of {report['calls']} calls to {url} failed")
    return sample(report, used, report["calls"], client, report["calls"])


class Observed:
  """RPC while Prometheus scrapes and calls are logged, or not."""

  def __init__(self, apus, folder):
    self.apus, self.folder = apus, folder

  def _serving(self, models, environment):
    apus = self.apus
    command = [apus.path, "serve", "--listen", apus.address, "--models", models, "--threads", "1",
               "--http", "127.0.0.1:0"]
    return ServerProcess(command, apus.socket_path, environment=environment)

  def throughput(self, seconds, observed):
    """128 in flight. Observed, each call goes to the access log, and the metrics are read every second."""
    log = os.path.join(self.folder, "access.log")
    with self._serving(self.apus.models, {"APUS_LOG_ACCESS_PATH": log} if observed else {}) as server:
      with self._scrapes(server) if observed else contextlib.nullcontext():
        return self.apus.bench(server, seconds, 128, 1, [], None)

  @contextlib.contextmanager
  def many_models(self):
    """A server of so many models, all of which have been called."""
    folder = os.path.join(self.folder, "many")
    names = [f"m{index:03d}" for index in range(MANY_MODELS - 1)] + [TEXT_MODEL]
    for name in names:
      if not os.path.isdir(os.path.join(folder, name)):
        shutil.copytree(os.path.join(self.apus.models, TEXT_MODEL), os.path.join(folder, name))
    with self._serving(folder, {}) as server:
      with server.connect() as peer:
        peer.settimeout(10)
        for name in names:
          peer.sendall(classify_frame(name, 100))
          check_answer(read_frame(peer))
      yield server

  def latency(self, server, seconds, scraped):
    with self._scrapes(server) if scraped else contextlib.nullcontext():
      return self.apus.bench(server, seconds, 1, 1, [], None)

  @contextlib.contextmanager
  def _scrapes(self, server):
    port = server.logged(r"serving HTTP on http://127\.0\.0\.1:(\d+)")
    ended = threading.Event()
    texts = []

    def scrape():
      while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
          texts.append(len(answer.read()))
        if ended.wait(SCRAPE_SECONDS):
          return

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
      yield
    finally:
      ended.set()
      thread.join()
    if not texts:
      raise BenchError("the metrics were never read")
    self.scraped_bytes = texts[-1]
