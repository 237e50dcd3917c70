"""A real Prometheus that scrapes three real servers, with the files of deploy/prometheus and deploy/grafana.

Every query of the dashboard and of the rules must find data: a metric that was renamed, or a label that is
gone, shows here.
"""

import contextlib
import json
import os
import re
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import apus
from certificates import Authority
from running import ROOT, SECONDS, Server, find, free_port, replaced, wait_until

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "apus.json").read_text())
DIGIT = np.zeros(64, dtype=np.float32)
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def can_serve_http():
    if "APUS_BINARY" not in os.environ:
        return False
    done = subprocess.run([os.environ["APUS_BINARY"], "serve", "--help"], capture_output=True, text=True,
                          timeout=SECONDS, check=False)
    return "--http" in done.stdout


needs_prometheus = pytest.mark.skipif(
    not (find("prometheus") and find("promtool")), reason="apt-get install prometheus")
needs_server = pytest.mark.skipif(not can_serve_http(), reason="APUS_BINARY names no apus that serves HTTP")


def promtool(*arguments, stdin=""):
    """Runs it; it must find nothing at all."""
    done = subprocess.run([find("promtool"), *arguments], input=stdin, capture_output=True, text=True,
                          timeout=SECONDS, check=False, cwd=PROMETHEUS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# The files alone.

@needs_prometheus
def test_the_configuration_and_its_rules_are_valid():
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", "apus.rules.yml")


@needs_prometheus
def test_each_alert_comes_when_it_must_and_not_before():
    assert "SUCCESS" in promtool("test", "rules", "apus.rules.test.yml")
    rules = (PROMETHEUS / "apus.rules.yml").read_text()
    tests = (PROMETHEUS / "apus.rules.test.yml").read_text()
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert len(alerts) > 10
    documented = re.findall(r"^\| (Apus\w+) \|", (ROOT / "docs" / "metrics.md").read_text(), re.M)
    assert documented == sorted(documented, key=alerts.index) and set(documented) == set(alerts)
    for alert in alerts:
        assert re.search(rf"alertname: {alert}\n +exp_alerts:\n", tests), f"no test sets {alert} off"


def test_the_dashboard_has_what_grafana_needs():
    panels = DASHBOARD["panels"]
    assert DASHBOARD["schemaVersion"] >= 38 and DASHBOARD["uid"] == "apus"
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert variables[0] == "datasource" and {"model", "instance"} <= set(variables)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"]
    places = [(panel["gridPos"], panel["title"]) for panel in panels]
    for index, (one, title) in enumerate(places):
        for other, name in places[:index]:
            is_apart = (one["x"] >= other["x"] + other["w"] or other["x"] >= one["x"] + one["w"]
                        or one["y"] >= other["y"] + other["h"] or other["y"] >= one["y"] + one["h"])
            assert is_apart, f"{title} lies over {name}"


# Three servers.

class Monitored:
    """Three servers that also speak HTTP and TLS, with a load on them, and the Prometheus that scrapes them."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = Authority(folder, "authority")
        certificate, key = self.authority.sign("server", "server", "IP:127.0.0.1")
        self.places = [f"127.0.0.1:{free_port()}" for _ in range(3)]
        self.encrypted = [f"tls://127.0.0.1:{free_port()}" for _ in range(3)]
        # One has an access log.
        configuration = folder / "apus.yaml"
        configuration.write_text(f"log: {{access: {{path: {folder / 'access'}}}}}\n")
        access_log = {1: ["--config", str(configuration)]}
        self.servers = [
            Server(folder, number, "tcp", [
                *access_log.get(number, []), "--http", place, "--listen", encrypted,
                "--tls-cert", certificate, "--tls-key", key])
            for number, place, encrypted in zip((1, 2, 3), self.places, self.encrypted)]
        self.place = f"127.0.0.1:{free_port()}"
        self.prometheus = None
        self._stop = threading.Event()
        self._load = threading.Thread(target=self._call)

    def start(self):
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait()
        self._load.start()
        text = (PROMETHEUS / "prometheus.yml").read_text()
        for number, place in enumerate(self.places, 1):
            text = replaced(text, f"- 10.0.0.{number}:7480", f"- {place}")
        text = replaced(text, "scrape_interval: 15s", "scrape_interval: 500ms")
        text = replaced(text, "evaluation_interval: 15s", "evaluation_interval: 500ms")
        text = replaced(text, "- apus.rules.yml", f"- {PROMETHEUS / 'apus.rules.yml'}")
        file = self.folder / "prometheus.yml"
        file.write_text(text)
        self.prometheus = subprocess.Popen(
            [find("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={self.folder / 'data'}",
             f"--web.listen-address={self.place}", "--log.level=warn"])
        wait_until(self._is_ready, "Prometheus is ready")
        # A rate needs two scrapes, and what is recorded a look at them.
        for record in ("model:apus_queue_time:ratio_rate5m", "instance:apus_access_log_drops:ratio_rate5m"):
            wait_until(lambda: len(self.ask(record)) == 1, "rules have been evaluated")

    def _is_ready(self):
        assert self.prometheus.poll() is None, "Prometheus ended: see its message above"
        with contextlib.suppress(OSError):
            return self.get("/-/ready") is not None
        return False

    def stop(self):
        self._stop.set()
        if self._load.is_alive():
            self._load.join()
        if self.prometheus:
            self.prometheus.terminate()
            self.prometheus.wait(SECONDS)
        for server in self.servers:
            server.kill()

    def _call(self):
        """Good calls and bad ones, over TCP and TLS."""
        while not self._stop.is_set():
            for server, encrypted in zip(self.servers, self.encrypted):
                with contextlib.suppress(apus.ApusError):
                    with apus.Client(server.address, timeout=SECONDS) as client:
                        client.classify_many("digits", [DIGIT] * 16, labels=False)
                        client.classify("digits", DIGIT[:3])
                with contextlib.suppress(apus.ApusError):
                    with apus.Client(encrypted, timeout=SECONDS, ca=self.authority.file) as client:
                        client.classify("digits", DIGIT)
            time.sleep(0.02)

    def get(self, path, **parameters):
        url = f"http://{self.place}{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            text = answer.read().decode()
        return json.loads(text)["data"] if path.startswith("/api") else text

    def ask(self, query):
        try:
            return self.get("/api/v1/query", query=query)["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error

    def values(self, query):
        """Numbers that it finds now, NaN left out: what has not been called has no mean."""
        return [float(found["value"][1]) for found in self.ask(query) if found["value"][1] != "NaN"]


@pytest.fixture(scope="module")
def monitored(tmp_path_factory):
    found = Monitored(tmp_path_factory.mktemp("prometheus"))
    try:
        found.start()
        yield found
    finally:
        found.stop()


def metrics(place, accept=None):
    request = urllib.request.Request(f"http://{place}/metrics", headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def dashboard_queries():
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield pytest.param(target["expr"], id=f"{panel['title']}, {target['refId']}")


def rule_queries():
    """The rules' expressions; an alert's without its thresholds, as nothing is wrong here."""
    text = (PROMETHEUS / "apus.rules.yml").read_text()
    pattern = r"- (record|alert): (\S+)\n +expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)"
    for kind, name, block, line in re.findall(pattern, text):
        expression = block or line
        if kind == "alert":
            expression = re.sub(r" (==|<|>) [0-9.]+", "", expression)
        yield pytest.param(expression, id=name)


def test_rules_are_all_found():
    assert len(list(rule_queries())) == (PROMETHEUS / "apus.rules.yml").read_text().count("expr:")


@needs_prometheus
@needs_server
def test_promtool_finds_nothing_to_say_about_the_metrics(monitored):
    kind, text = metrics(monitored.places[0])
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert promtool("check", "metrics", stdin=text) == ""


@needs_prometheus
@needs_server
def test_open_metrics_is_what_its_reader_reads(monitored):
    parser = pytest.importorskip("prometheus_client.openmetrics.parser",
                                 reason="apt-get install python3-prometheus-client")
    kind, text = metrics(monitored.places[0], OPEN_METRICS)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    assert families["model_requests"].type == "counter" and families["apus_build"].type == "info"
    assert families["apus_request_duration_seconds"].unit == "seconds"


@needs_prometheus
@needs_server
def test_all_three_are_scraped(monitored):
    targets = monitored.get("/api/v1/targets")["activeTargets"]
    assert sorted(target["labels"]["instance"] for target in targets) == sorted(monitored.places)
    assert [target["health"] for target in targets] == ["up"] * 3, [target["lastError"] for target in targets]
    # Three servers, each with its own version of the model.
    found = monitored.ask("model_requests_total{code=\"OK\"} > 0")
    assert sorted(one["metric"]["version"] for one in found) == ["1", "2", "3"]


@needs_prometheus
@needs_server
@pytest.mark.parametrize("query", rule_queries())
def test_every_rule_finds_data(monitored, query):
    assert monitored.values(query)


@needs_prometheus
@needs_server
@pytest.mark.parametrize("query", dashboard_queries())
def test_every_panel_finds_data(monitored, query):
    for name, value in (("datasource", ""), ("job", "apus"), ("instance", ".*"), ("model", "digits|nothing")):
        query = query.replace(f"${name}", value)
    query = query.replace("$__rate_interval", "1m")
    assert "$" not in query
    assert monitored.values(query)


@needs_prometheus
@needs_server
def test_variables_have_values(monitored):
    for variable in DASHBOARD["templating"]["list"][1:]:
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
        selector = re.sub(r"\$\w+", ".*", selector)
        found = monitored.get(f"/api/v1/label/{label}/values", **{"match[]": selector})
        assert found == {"job": ["apus"], "model": ["digits"], "instance": sorted(monitored.places)}[label]


@needs_prometheus
@needs_server
def test_no_alert_is_up_but_for_what_is_wrong(monitored):
    # Certificates of tests live for two days.
    wait_until(lambda: monitored.ask("ALERTS"), "the certificates' end is noticed")
    found = {(alert["metric"]["alertname"], alert["metric"]["alertstate"]) for alert in monitored.ask("ALERTS")}
    # On a busy machine calls do wait for a while; the rules' own tests say when that is too long.
    found.discard(("ApusQueueing", "pending"))
    assert {name for name, _ in found} == {"ApusCertificateExpires"}


@needs_prometheus
@needs_server
def test_a_server_that_is_killed_is_noticed(monitored):
    """The last one here: two servers are left."""
    monitored.servers[2].kill()
    place = monitored.places[2]
    alert = f'ALERTS{{alertname="ApusDown", alertstate="pending", instance="{place}"}}'
    wait_until(lambda: monitored.ask(alert), "the alert is pending")
    assert monitored.values(f'up{{instance="{place}"}}') == [0]
    assert monitored.values('sum(up{job="apus"})') == [2]
