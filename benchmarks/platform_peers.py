"""Servers whose models change while they are called: what is done to them, and what the calls see."""

import array
import json
import os
import random
import shutil
import struct
import sys
import threading
import time

from machine import BenchError, resident_bytes, run
from peers import TEXT_MODEL, TEXT_WIDTHS, check_answer, classify_frame, read_frame

MODEL_YAML = "architecture: {type: mlp, activation: relu}\noutput: softmax\n"
LOADED_MODEL = "large"
PATIENCE = 120
# Clients and reactors that poll for the same processors make a 99th percentile that is another one in each run.
SLEEPING = ("--spin-us", "0")


def make_model(folder, widths, seed, half=False):
  """A network of random weights as the folder of a version, with a safetensors file; of 16 bits (bfloat16) or 32."""
  size = 2 if half else 4
  os.makedirs(folder)
  header, offset = {}, 0
  for index, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
    for name, shape in ((f"{index}.weight", [outputs, inputs]), (f"{index}.bias", [outputs])):
      length = size * shape[0] * (shape[1] if len(shape) == 2 else 1)
      header[name] = {"dtype": "BF16" if half else "F32", "shape": shape, "data_offsets": [offset, offset + length]}
      offset += length
  text = json.dumps(header).encode()
  text += b" " * (-len(text) % 8)
  generator = random.Random(seed)
  # Of a large model the same numbers again and again: how long they take does not hang on their values.
  block = array.array("f", (generator.gauss(0, 0.05) for _ in range(min(offset // size, 1 << 18)))).tobytes()
  if half:
    # The upper half of a float is a bfloat16.
    block = b"".join(block[at + 2:at + 4] for at in range(0, len(block), 4))
  with open(os.path.join(folder, "model.safetensors"), "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text)
    while offset > 0:
      offset -= file.write(block[:offset])
  with open(os.path.join(folder, "model.yaml"), "w", encoding="utf-8") as file:
    file.write(MODEL_YAML)
  return folder


def python_client():
  """The package of clients/python."""
  folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients", "python")
  if folder not in sys.path:
    sys.path.insert(0, folder)
  try:
    import apus
  except ImportError as missing:
    raise BenchError(f"a module is missing: {missing.name}; apt-get install python3-numpy") from None
  return apus


class Platform:
  """Apus on a repository of its own, administered as people do: by `apus model`."""

  def __init__(self, apus, folder):
    self.apus = apus
    self.folder = os.path.join(folder, "platform")
    self.repository = os.path.join(self.folder, "models")
    self.made = {}

  def model(self, name, widths, seed=0):
    """The folder of a model to publish, made once."""
    if name not in self.made:
      self.made[name] = make_model(os.path.join(self.folder, name), widths, seed)
    return self.made[name]

  def fresh(self, count=1):
    """An empty repository but for the text classifier, under its name and under as many others."""
    shutil.rmtree(self.repository, ignore_errors=True)
    source = os.path.join(self.apus.models, TEXT_MODEL, "1")
    for index in range(count):
      version = os.path.join(self.repository, TEXT_MODEL if index == 0 else f"m{index:04d}", "1")
      os.makedirs(version)
      for name in os.listdir(source):
        # A link to the same bytes: thousands of models need no thousand times the disk.
        first = os.path.join(self.repository, TEXT_MODEL, "1", name)
        if index == 0:
          shutil.copy(os.path.join(source, name), first)
        else:
          os.link(first, os.path.join(version, name))
    return self.repository

  def serving(self, options=(), cpu=None):
    return self.apus._server([*options], cpu, self.repository)

  def act(self, *arguments):
    """One act of administration; how many seconds its command took."""
    begun = time.monotonic()
    run([self.apus.path, "model", *arguments, "--to", self.apus.address], timeout=PATIENCE)
    return time.monotonic() - begun

  def answering(self, server, name=TEXT_MODEL, features=TEXT_WIDTHS[0]):
    """Calls once; raises where the answer is none."""
    with server.connect() as peer:
      peer.settimeout(PATIENCE)
      peer.sendall(classify_frame(name, features))
      check_answer(read_frame(peer))

  def latest(self, name):
    text = run([self.apus.path, "models", "--to", self.apus.address, "--json"], timeout=PATIENCE)[0]
    for model in json.loads(text)["models"]:
      if model["name"] == name and "latest" in model.get("aliases", []):
        return int(model["version"])
    raise BenchError(f"no version of {name} is the latest one")

  # MARK: Calls amid changes

  def calls(self, seconds, published, every=0):
    """16 clients for so long, alone or while two models are published in turn; a Sample, and how many were.

    One is published in `every` seconds, or as soon as the one before is, over a connection that is kept: what
    a process takes to start is no part of a publication.
    """
    self.fresh()
    turn = [self.model("even", TEXT_WIDTHS, 1), self.model("odd", TEXT_WIDTHS, 2)]
    with self.serving(SLEEPING) as server, python_client().Client(self.apus.address, PATIENCE) as client:
      with Repeated(lambda index: client.publish(turn[index % 2], TEXT_MODEL), published, every) as acts:
        sample = self.apus.bench(server, seconds, 16, 16, SLEEPING, None)
      return sample, acts.count

  def calls_amid_loading(self, seconds, cores, loading):
    """One client, on the core of the server's reactor, while a model of 500 MB is loaded on the other one."""
    self.fresh()
    with self.serving(["--threads", "1", *SLEEPING], cores[0]) as server:
      self.act("publish", self.model("half a gigabyte", (11180, 11180), 1), "--name", LOADED_MODEL)
      self.act("publish", self.model("small", TEXT_WIDTHS, 3), "--name", LOADED_MODEL)
      self.act("unload", f"{LOADED_MODEL}@1")
      move(server.pid, ("apus-admin", "apus-loader"), cores[1])

      def change(_):
        self.act("load", f"{LOADED_MODEL}@1")
        self.act("unload", f"{LOADED_MODEL}@1")

      with Repeated(change, loading) as acts:
        sample = self.apus.bench(server, seconds, 1, 1, SLEEPING, cores[0])
      return sample, acts.count

  # MARK: Durations

  def rollback_times(self):
    """Seconds of: loading 100 MB, rolling back to it from disk, and while it is loaded."""
    self.fresh()
    with self.serving() as server:
      self.act("publish", self.model("100 MB", (5000, 5000), 1), "--name", LOADED_MODEL)
      self.act("publish", self.model("small", TEXT_WIDTHS, 3), "--name", LOADED_MODEL)
      self.act("unload", f"{LOADED_MODEL}@1")
      load = self.act("load", f"{LOADED_MODEL}@1")
      self.act("unload", f"{LOADED_MODEL}@1")
      from_disk = self.act("rollback", LOADED_MODEL, f"{LOADED_MODEL}@1")
      self.answering(server, LOADED_MODEL, 5000)
      self.act("rollback", LOADED_MODEL, f"{LOADED_MODEL}@2")
      self.answering(server, LOADED_MODEL)
      loaded = self.act("rollback", LOADED_MODEL, f"{LOADED_MODEL}@1")
      # The two versions take other shapes: what answers this is the one that was asked for.
      self.answering(server, LOADED_MODEL, 5000)
      return load, from_disk, loaded

  def resident_after_unloads(self, count, progress):
    """Bytes in memory after each unloading of a model of 100 MB."""
    self.fresh()
    with self.serving() as server:
      self.act("publish", self.model("100 MB", (5000, 5000), 1), "--name", LOADED_MODEL)
      self.act("publish", self.model("small", TEXT_WIDTHS, 3), "--name", LOADED_MODEL)
      after = []
      for index in range(count):
        progress(f"platform-memory: {index} of {count}")
        self.act("unload", f"{LOADED_MODEL}@1")
        after.append(resident_bytes(server.pid))
        self.act("load", f"{LOADED_MODEL}@1")
      return after

  def start_seconds(self, count):
    """Seconds from the start of a process with so many models to the first answer."""
    self.fresh(count)
    server = self.serving()
    try:
      server.start()
      self.answering(server)
      return (time.monotonic_ns() - server.started_ns) / 1e9
    finally:
      server.stop()

  def calls_by_name(self, count, seconds, cores, spin_us):
    """One client that polls, with so many models on the server."""
    self.fresh(count)
    spin = ["--spin-us", str(spin_us)]
    with self.serving(["--threads", "1", *spin], cores[1]) as server:
      self.answering(server)
      return self.apus.bench(server, seconds, 1, 1, spin, cores[0])


class Repeated:
  """Does something again and again in a thread of its own, until the `with` block is left."""

  def __init__(self, work, is_wanted, every=0):
    self.work, self.is_wanted, self.every = work, is_wanted, every
    self.count, self.failure = 0, None
    self.ended = threading.Event()
    self.thread = threading.Thread(target=self._run)

  def _run(self):
    begun = time.monotonic()
    while not self.ended.wait(max(0, begun + self.every * self.count - time.monotonic())):
      try:
        self.work(self.count)
        self.count += 1
      except Exception as failure:  # of any kind: whoever waits for the thread raises it
        self.failure = failure
        return

  def __enter__(self):
    if self.is_wanted:
      self.thread.start()
    return self

  def __exit__(self, *_):
    if self.is_wanted:
      self.ended.set()
      self.thread.join()
    if self.failure:
      raise self.failure


def move(pid, names, cpu):
  """Binds a process's threads of these names to one processor."""
  for task in os.listdir(f"/proc/{pid}/task"):
    with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as file:
      if file.read().strip() in names:
        os.sched_setaffinity(int(task), {cpu})
