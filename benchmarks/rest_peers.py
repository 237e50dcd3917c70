"""What the rows over HTTP need: wrk, and gunicorn with Flask."""

import os
import shutil
import socket

from machine import BenchError, ServerProcess, run
from peers import TEXT_MODEL, parse, sample

HERE = os.path.dirname(os.path.abspath(__file__))
# Debian's own, whose modules are Debian's too.
PYTHON = "/usr/bin/python3"


def free_port():
  with socket.create_server(("127.0.0.1", 0)) as probe:
    return probe.getsockname()[1]


class Rest:
  """POST /classify, by wrk on one thread, over connections that are kept."""

  def __init__(self, folder):
    self.folder = folder
    self.script = os.path.join(HERE, "baselines", "classify.lua")
    for program in ("wrk", "gunicorn"):
      if not shutil.which(program):
        raise BenchError(f"there is no {program}; install the Debian packages wrk, gunicorn and python3-flask")

  def of_apus(self, apus, seconds, connections):
    options = ["--http", "127.0.0.1:0", "--threads", "1"]
    server = ServerProcess(
        [apus.path, "serve", "--listen", apus.address, "--models", apus.models, *options], apus.socket_path,
        environment={"APUS_DEFAULT_MODEL": TEXT_MODEL})
    with server:
      port = server.logged(r"serving HTTP on http://127\.0\.0\.1:(\d+)")
      return self._wrk(server, port, seconds, connections)

  def of_flask(self, worker, seconds, connections):
    """`sync` closes every connection; `gthread` keeps them, in four threads for each of two processes."""
    port = free_port()
    threads = ["--threads", "4"] if worker == "gthread" else []
    command = [PYTHON, "-m", "gunicorn", "--chdir", os.path.join(HERE, "baselines"), "--workers", "2",
               "--worker-class", worker, *threads, "--bind", f"127.0.0.1:{port}", "--log-level", "warning",
               "flask_app:app"]
    environment = {"OPENBLAS_NUM_THREADS": "1"}
    with ServerProcess(command, os.path.join(self.folder, "flask"), None, environment, port) as server:
      return self._wrk(server, port, seconds, connections)

  def _wrk(self, server, port, seconds, connections):
    url = f"http://127.0.0.1:{port}/classify"
    command = ["wrk", "-t", "1", "-c", str(connections), "--latency", "-s", self.script, url]
    # The first calls start workers.
    run([*command, "-d", "1s"], timeout=60)
    before = server.usage()
    text, client = run([*command, "-d", f"{max(1, round(seconds))}s"], timeout=60 + 2 * seconds)
    used = server.usage() - before
    report = parse(text, "wrk")
    if report["errors"] or not report["calls"]:
      raise BenchError(f"{report['errors']} of {report['calls']} calls to {url} failed")
    return sample(report, used, report["calls"], client, report["calls"])
