"""Processes and the machine: starting, pinning, stopping, and what they used."""

import glob
import os
import platform
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 20


class BenchError(Exception):
  """Something a person has to put right; its text is one line that says what."""


def two_cores():
  """Two processors that this process may use, of different cores where the machine says so."""
  allowed = sorted(os.sched_getaffinity(0))
  if len(allowed) < 2:
    raise BenchError("two processors are needed, but this process may use only one")
  first = allowed[0]
  path = f"/sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list"
  siblings = {first}
  if os.path.exists(path):
    for part in read_text(path).strip().split(","):
      low, _, high = part.partition("-")
      siblings.update(range(int(low), int(high or low) + 1))
  return first, next((cpu for cpu in allowed if cpu not in siblings), allowed[1])


def pinned(command, cpu):
  """The command bound to one processor, or unchanged for None. taskset keeps the process id."""
  return command if cpu is None else ["taskset", "-c", str(cpu), *command]


def read_text(path):
  with open(path, encoding="utf-8", errors="replace") as file:
    return file.read()


@dataclass
class Usage:
  """CPU seconds, and how often a thread gave up its processor to wait."""
  cpu_seconds: float
  sleeps: int

  def __sub__(self, earlier):
    return Usage(self.cpu_seconds - earlier.cpu_seconds, self.sleeps - earlier.sleeps)


def usage_of(pid):
  """What a running process has used so far: CPU of all its threads, sleeps of those still alive."""
  # proc(5): utime and stime are fields 14 and 15. The name, field 2, may hold spaces and ends with ")".
  fields = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
  cpu_seconds = (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
  # /proc/PID/status counts the first thread's switches only.
  threads = glob.glob(f"/proc/{pid}/task/*/status")
  sleeps = sum(status_number(path, "voluntary_ctxt_switches") for path in threads)
  return Usage(cpu_seconds, sleeps)


def status_number(path, name):
  match = re.search(rf"^{name}:\s+(\d+)", read_text(path), re.MULTILINE)
  if not match:
    raise BenchError(f"{path} has no {name}")
  return int(match.group(1))


def resident_bytes(pid):
  return status_number(f"/proc/{pid}/status", "VmRSS") * 1024


def run(command, timeout):
  """Runs a client to its end; returns its standard output and what it used."""
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  try:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
  except subprocess.TimeoutExpired:
    raise BenchError(f"no answer within {timeout:g} s: {' '.join(command)}") from None
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  if done.returncode != 0:
    why = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
    raise BenchError(f"exit status {done.returncode}: {' '.join(command)}: {why[-1]}")
  cpu = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
  return done.stdout, Usage(cpu, after.ru_nvcsw - before.ru_nvcsw)


class ServerProcess:
  """A server that listens on a Unix socket, or on a port of this machine where one is given; stopped however
  the `with` block is left. `socket_path` also names its log.
  """

  def __init__(self, command, socket_path, cpu=None, environment=None, port=None, stdin=subprocess.DEVNULL):
    self.command, self.socket_path, self.port = pinned(command, cpu), socket_path, port
    self.environment = {**os.environ, **(environment or {})}
    self.log_path = socket_path + ".log"
    self.stdin = stdin
    self.process = None
    self.started_ns = 0

  def start(self):
    """Starts the process; `started_ns` is when, on the monotonic clock."""
    if os.path.exists(self.socket_path):
      os.unlink(self.socket_path)
    with open(self.log_path, "wb") as log:
      self.started_ns = time.monotonic_ns()
      self.process = subprocess.Popen(self.command, stdin=self.stdin, stdout=log, stderr=log,
                                      env=self.environment)

  def connect(self):
    """A socket connected to the server, as soon as it listens."""
    return self._wait(self._connect_once)

  def _connect_once(self):
    family, place = (socket.AF_UNIX, self.socket_path)
    if self.port is not None:
      family, place = (socket.AF_INET, ("127.0.0.1", self.port))
    peer = socket.socket(family, socket.SOCK_STREAM)
    try:
      peer.connect(place)
      return peer
    except (FileNotFoundError, ConnectionRefusedError):
      peer.close()
      return None

  def logged(self, pattern):
    """The first group of the pattern in the server's log, as soon as it is there."""
    return self._wait(lambda: re.search(pattern, read_text(self.log_path)))[1]

  def _wait(self, find):
    """What `find` gives once it is not None, while the server starts."""
    deadline = time.monotonic() + START_SECONDS
    while (found := find()) is None:
      if self.process.poll() is not None:
        raise BenchError(f"the server ended with status {self.process.returncode}: {self.last_words()}")
      if time.monotonic() > deadline:
        raise BenchError(f"the server did not listen within {START_SECONDS} s: {' '.join(self.command)}")
      time.sleep(0.0002)
    return found

  def last_words(self):
    lines = read_text(self.log_path).strip().splitlines()
    return lines[-1] if lines else " ".join(self.command)

  def stop(self):
    if self.process is None:
      return
    if self.process.stdin:
      self.process.stdin.close()
    if self.process.poll() is not None:
      return
    self.process.terminate()
    try:
      self.process.wait(timeout=5)
    except subprocess.TimeoutExpired:
      self.process.kill()
      self.process.wait()

  @property
  def pid(self):
    return self.process.pid

  def usage(self):
    if self.process.poll() is not None:
      raise BenchError(f"the server ended with status {self.process.returncode}: {self.last_words()}")
    return usage_of(self.pid)

  def __enter__(self):
    try:
      self.start()
      self.connect().close()
    except BaseException:
      self.stop()
      raise
    return self

  def __exit__(self, *_):
    self.stop()


def count_system_calls(pid, work):
  """Runs `work` while strace counts the process's system calls; None where strace may not or cannot."""
  if not shutil.which("strace"):
    return None
  tracer = subprocess.Popen(["strace", "-f", "-c", "-U", "calls,name", "-p", str(pid)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
  try:
    deadline = time.monotonic() + 5
    tasks = f"/proc/{pid}/task/*/status"
    while any(status_number(path, "TracerPid") == 0 for path in glob.glob(tasks)):
      if tracer.poll() is not None or time.monotonic() > deadline:
        return None
      time.sleep(0.01)
    work()
    tracer.send_signal(signal.SIGINT)
    report = tracer.communicate(timeout=10)[1]
  finally:
    if tracer.poll() is None:
      tracer.kill()
      tracer.communicate()
  match = re.search(r"^\s*(\d+)\s+total$", report, re.MULTILINE)
  if not match:
    raise BenchError("strace's report has no line of totals")
  return int(match.group(1))


def describe(root, apus):
  """The machine and the versions, for the results' file."""
  cpu = re.search(r"^model name\s*:\s*(.+)$", read_text("/proc/cpuinfo"), re.MULTILINE)
  return {
      "host": platform.node(),
      "kernel": platform.release(),
      "cpu_model": cpu.group(1) if cpu else platform.machine(),
      "cpus": len(os.sched_getaffinity(0)),
      "virtual": "hypervisor" in read_text("/proc/cpuinfo"),
      "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
      "load_before": os.getloadavg()[0],
      "versions": {
          "apus": first_line([apus, "--version"]),
          "commit": first_line(["git", "-C", root, "describe", "--always", "--dirty"]),
          "grpc++": first_line(["pkg-config", "--modversion", "grpc++"]),
          "openblas": first_line(["pkg-config", "--modversion", "openblas"]),
          "openssl": first_line(["openssl", "version"]),
          "python": platform.python_version(),
      },
  }


def first_line(command):
  """What a program says of its version, or None."""
  try:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
  except (OSError, subprocess.TimeoutExpired):
    return None
  lines = done.stdout.strip().splitlines()
  return lines[0] if done.returncode == 0 and lines else None
