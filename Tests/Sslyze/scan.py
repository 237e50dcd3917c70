#!/usr/bin/env python3
"""Lets sslyze look at a running server: no old protocol, weak cipher, compression, renegotiation or early data.

usage: scan.py APUS MODELS, by a Python that has sslyze (`make sslyze` sees to both)
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

STRONG = {
    "1.3": {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"},
    "1.2": {f"TLS_ECDHE_RSA_WITH_{cipher}" for cipher in (
        "AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")},
}

LOOKS = ["--mozilla_config=disable"] + [f"--{look}" for look in (
    "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "compression", "heartbleed", "openssl_ccs",
    "robot", "reneg", "early_data")]


def make_certificate(folder):
  subprocess.run(
      ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key.pem", "-out",
       folder / "cert.pem", "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
      check=True, capture_output=True)


def scan(apus, models, folder, minimum):
  """What sslyze says of a server with this lowest version."""
  (folder / "apus.yaml").write_text(f'tls: {{min_version: "{minimum}"}}\n')
  server = subprocess.Popen(
      [apus, "serve", "--models", models, "--listen", "tls://127.0.0.1:0", "--tls-cert", folder / "cert.pem",
       "--tls-key", folder / "key.pem", "--config", folder / "apus.yaml"], stderr=subprocess.PIPE, text=True)
  try:
    found = None
    while found is None:
      line = server.stderr.readline()
      assert line, "the server did not start"
      found = re.search(r'listening on tls://([^\s"]+)', line)
    subprocess.run([sys.executable, "-m", "sslyze", *LOOKS, f"--json_out={folder}/scan.json", found[1]],
                   check=True, timeout=120, capture_output=True)
    return json.loads((folder / "scan.json").read_text())["server_scan_results"][0]["scan_result"]
  finally:
    server.terminate()
    server.communicate()


def problems(result, minimum):
  """A line for each thing that should not be."""
  accepted = {}
  for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3"):
    suites = result[f"{version}_cipher_suites"]["result"]["accepted_cipher_suites"]
    accepted[version] = {suite["cipher_suite"]["name"] for suite in suites}
  expected = {"tls_1_3": STRONG["1.3"], "tls_1_2": STRONG["1.2"] if minimum == "1.2" else set()}
  for version, names in accepted.items():
    if names != expected.get(version, set()):
      yield f"{version} accepts {sorted(names) or 'nothing'}"
  renegotiation = result["session_renegotiation"]["result"]
  checks = {
      "compression": result["tls_compression"]["result"]["supports_compression"],
      "Heartbleed": result["heartbleed"]["result"]["is_vulnerable_to_heartbleed"],
      "CCS injection": result["openssl_ccs_injection"]["result"]["is_vulnerable_to_ccs_injection"],
      "ROBOT": not result["robot"]["result"]["robot_result"].startswith("NOT_VULNERABLE"),
      "renegotiation by the client": renegotiation["is_vulnerable_to_client_renegotiation_dos"],
      "insecure renegotiation": not renegotiation["supports_secure_renegotiation"],
      "early data": result["tls_1_3_early_data"]["result"]["supports_early_data"],
  }
  for name, is_there in checks.items():
    if is_there:
      yield name


def main(apus, models):
  failed = False
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    make_certificate(folder)
    for minimum in ("1.3", "1.2"):
      found = list(problems(scan(apus, models, folder, minimum), minimum))
      print(f"sslyze: from TLS {minimum} on: {'; '.join(found) or 'nothing weak'}")
      failed |= bool(found)
  sys.exit(failed)


if __name__ == "__main__":
  main(*sys.argv[1:])
