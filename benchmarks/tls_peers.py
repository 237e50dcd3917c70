"""What the rows over TLS need: a certificate, transports, `openssl s_server`, the generator of handshakes."""

import contextlib
import os
import socket
import subprocess
from dataclasses import dataclass, field

from machine import BenchError, ServerProcess, pinned, run
from peers import parse, require_executable

PROTOCOL = "apus/1"
# A server that shakes hands needs no client to wait for it.
HANDSHAKE_CONNECTIONS = 64
# The generator is stopped long before.
MOST_SECONDS = 600


class Transport:
  """A port of this machine where Apus listens besides its Unix socket; the system chooses the number."""

  def __init__(self, scheme, server_options=(), client_options=()):
    self.scheme = scheme
    self.server_options = ["--listen", f"{scheme}://127.0.0.1:0", *server_options]
    self.client_options = list(client_options)

  def address(self, server):
    return f"{self.scheme}://127.0.0.1:{self.port(server)}"

  def port(self, server):
    """The number, from the server's log."""
    return server.logged(rf"listening on {self.scheme}://127\.0\.0\.1:(\d+)")


@dataclass
class Handshakes:
  """One run of the generator. CPU is µs a handshake; `busy` says how much of its processor each side used."""
  per_second: float
  failed: int
  server_cpu_us: float
  client_cpu_us: float
  server_busy: float
  client_busy: float


class TLS:
  """An RSA certificate for this machine, made for this run, and who uses it."""

  def __init__(self, build, folder, bits=2048):
    self.folder = folder
    self.bits = bits
    self.generator = require_executable(os.path.join(build, "handshakes"), "run `make -C benchmarks tls`")
    self.certificate, self.key = (os.path.join(folder, f"rsa-{bits}.{kind}") for kind in ("pem", "key"))
    run(["openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", "-keyout", self.key,
         "-out", self.certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"], timeout=60)
    self.plain = Transport("tcp")
    self.encrypted = Transport("tls", ["--tls-cert", self.certificate, "--tls-key", self.key],
                               ["--ca", self.certificate])

  def generator_command(self, port, seconds, connections, *options):
    return [self.generator, "127.0.0.1", str(port), "--connections", str(connections),
            "--seconds", f"{seconds:g}", "--ca", self.certificate, "--alpn", PROTOCOL, *options]

  def handshakes(self, server, port, seconds, client_cpu, resume):
    """Handshakes with a server that runs, one after the other on each of a few connections."""
    options = ["--resume"] if resume else []
    command = self.generator_command(port, seconds, HANDSHAKE_CONNECTIONS, *options)
    before = server.usage()
    report = parse(run(pinned(command, client_cpu), timeout=60 + 2 * seconds)[0], self.generator)
    used = server.usage() - before
    count, took = report["handshakes"], report["seconds"]
    if report["failed"] or not count:
      raise BenchError(f"{report['failed']} handshakes failed and {count} did not: {' '.join(command)}")
    return Handshakes(report["per_second"], report["failed"], 1e6 * used.cpu_seconds / count,
                      1e6 * report["cpu_seconds"] / count, used.cpu_seconds / took,
                      report["cpu_seconds"] / took)

  def of_openssl(self, seconds, client_cpu, server_cpu, resume=False):
    """Handshakes with `openssl s_server`, which has one connection at a time."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
      port = probe.getsockname()[1]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", self.certificate,
               "-key", self.key, "-alpn", PROTOCOL, "-quiet"]
    # It would take the end of its standard input for a message to each client.
    with ServerProcess(command, os.path.join(self.folder, "s_server"), server_cpu, port=port,
                       stdin=subprocess.PIPE) as server:
      return self.handshakes(server, port, seconds, client_cpu, resume)

  def of_apus(self, apus, seconds, client_cpu, server_cpu, resume=False):
    with apus.serving(["--threads", "1"], server_cpu, self.encrypted) as server:
      return self.handshakes(server, self.encrypted.port(server), seconds, client_cpu, resume)

  @contextlib.contextmanager
  def flood(self, server, connections):
    """Many clients that shake hands again and again, on the processor time that nobody else wants.

    Gives a Flood, whose figure is there when the block has ended.
    """
    command = ["chrt", "--idle", "0",
               *self.generator_command(self.encrypted.port(server), MOST_SECONDS, connections)]
    flood = Flood()
    generator = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
      yield flood
      if generator.poll() is not None:
        raise BenchError(f"the handshakes ended before the calls: {generator.stderr.read().strip()}")
      generator.terminate()
      output, errors = generator.communicate(timeout=60)
      if generator.returncode != 0:
        raise BenchError(f"exit status {generator.returncode}: {' '.join(command)}: {errors.strip()}")
      flood.per_second = parse(output, self.generator)["per_second"]
    finally:
      if generator.poll() is None:
        generator.kill()
        generator.communicate()


@dataclass
class Flood:
  per_second: float = field(default=0.0)
