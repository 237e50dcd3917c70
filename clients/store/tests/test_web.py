"""A store on a web server: index.json says what there is."""

import json
import os
import signal
import subprocess

import pytest

from stores import Follower, WebServer, contents, environment, eventually, index, sync, PROGRAM

BIG = os.urandom(300_000)


def test_what_the_index_names_comes(web, tmp_path):
    web.publish({
        "digits": ({1: {"model.pth": b"one", "model.yaml": b""}, 2: {"model.pth": b"two"}}, {"aliases": {"a": 1}}),
        "other": ({7: {"ü model.safetensors": b"seven"}}, None)})
    web.objects["/other/7/%C3%BC%20model.safetensors"] = b"seven"
    done = sync(web.url, tmp_path)
    assert done.code == 0, done.error
    assert contents(tmp_path) == {
        "digits/1/model.pth": b"one", "digits/1/model.yaml": b"", "digits/2/model.pth": b"two",
        "digits/state.json": b'{"aliases": {"a": 1}}', "other/7/ü model.safetensors": b"seven"}
    assert done.document["fetched"] == [
        {"name": "digits", "version": 1, "bytes": 3}, {"name": "digits", "version": 2, "bytes": 3},
        {"name": "other", "version": 7, "bytes": 5}]
    assert done.document["new_states"] == ["digits"]
    again = len(web.requests)
    assert sync(web.url, tmp_path).document == {"in_step": True, "fetched": [], "new_states": [], "errors": []}
    assert len(web.requests) == again + 1
    assert os.listdir(tmp_path / ".apus/fetch") == []


def test_a_broken_connection_is_gone_on_with(web, tmp_path):
    web.publish({"m": ({1: {"model.pth": BIG}}, None)})
    web.faults["/m/1/model.pth"] = [web.cut(100_000), web.cut(50_000)]
    done = sync(web.url, tmp_path)
    assert done.code == 0, done.error
    assert contents(tmp_path) == {"m/1/model.pth": BIG}
    asked = web.asked("/m/1/model.pth")
    assert [headers.get("Range") for headers in asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert [headers.get("If-Match") for headers in asked] == [None] + [web.tag("/m/1/model.pth")] * 2


def test_the_next_process_goes_on_where_the_last_ended(web, tmp_path):
    web.publish({"m": ({1: {"model.pth": BIG}}, None)})
    web.faults["/m/1/model.pth"] = [web.cut(100_000), web.status(403)]
    assert sync(web.url, tmp_path).code == 1
    assert contents(tmp_path) == {}
    assert (tmp_path / ".apus/fetch/m/1/model.pth.part").stat().st_size == 100_000
    assert sync(web.url, tmp_path).code == 0
    assert [headers.get("Range") for headers in web.asked("/m/1/model.pth")][-1] == "bytes=100000-"
    assert contents(tmp_path) == {"m/1/model.pth": BIG}


def test_what_was_fetched_is_hashed_again(web, tmp_path):
    """A part that was damaged on this machine: it comes again, from its start."""
    web.publish({"m": ({1: {"model.pth": BIG}}, None)})
    web.faults["/m/1/model.pth"] = [web.cut(100_000), web.status(403)]
    assert sync(web.url, tmp_path).code == 1
    part = tmp_path / ".apus/fetch/m/1/model.pth.part"
    part.write_bytes(b"x" + part.read_bytes()[1:])
    assert sync(web.url, tmp_path).code == 0
    assert [headers.get("Range") for headers in web.asked("/m/1/model.pth")][-2:] == ["bytes=100000-", None]
    assert contents(tmp_path) == {"m/1/model.pth": BIG}


def test_a_changed_object_is_begun_anew(web, tmp_path):
    web.publish({"m": ({1: {"model.pth": BIG}}, None)})
    old = bytes(reversed(BIG))

    def older(handler):
        web.objects["/m/1/model.pth"] = old
        web.answer(handler, cut=100_000)
        web.objects["/m/1/model.pth"] = BIG

    web.faults["/m/1/model.pth"] = [older]
    done = sync(web.url, tmp_path)
    assert done.code == 0, done.error
    assert contents(tmp_path) == {"m/1/model.pth": BIG}
    assert [headers.get("Range") for headers in web.asked("/m/1/model.pth")] == [None, "bytes=100000-", None]


@pytest.mark.parametrize("tag", ["none", 'W/"weak"'])
def test_without_a_strong_tag_nothing_is_put_together(web, tmp_path, tag):
    web.publish({"m": ({1: {"model.pth": BIG}}, None)})
    web.tags["/m/1/model.pth"] = tag
    web.faults["/m/1/model.pth"] = [web.cut(100_000)]
    assert sync(web.url, tmp_path).code == 0
    assert [headers.get("Range") for headers in web.asked("/m/1/model.pth")] == [None, None]
    assert contents(tmp_path) == {"m/1/model.pth": BIG}


def test_a_server_that_ignores_ranges_is_taken_from_the_start(web, tmp_path):
    web.publish({"m": ({1: {"model.pth": BIG}}, None)})

    def whole(handler):
        del handler.headers["Range"]
        web.answer(handler)

    web.faults["/m/1/model.pth"] = [web.cut(100_000), whole]
    assert sync(web.url, tmp_path).code == 0
    assert contents(tmp_path) == {"m/1/model.pth": BIG}


def test_a_wrong_digest_shows_nothing_and_stops_no_other(web, tmp_path):
    web.publish({"bad": ({1: {"model.pth": b"right"}}, None), "good": ({1: {"model.pth": b"good"}}, None)})
    web.objects["/bad/1/model.pth"] = b"wrong"
    done = sync(web.url, tmp_path)
    assert done.code == 1
    assert contents(tmp_path) == {"good/1/model.pth": b"good"}
    [problem] = done.problems
    assert problem.startswith(f"bad version 1: {web.url}/bad/1/model.pth has the digest ")
    assert done.error.count("\n") == 1


@pytest.mark.parametrize("data", [b"shorter", b"it is longer than it should be"])
def test_another_length_is_refused(web, tmp_path, data):
    web.publish({"m": ({1: {"model.pth": b"as long as this"}}, None)})
    web.objects["/m/1/model.pth"] = data
    done = sync(web.url, tmp_path)
    assert done.code == 1
    assert f"it has {len(data)} bytes, and should have 15" in done.problems[0]
    assert contents(tmp_path) == {}


def test_more_bytes_than_announced_are_not_kept(web, tmp_path):
    web.publish({"m": ({1: {"model.pth": b"12345"}}, None)})

    def endless(handler):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"x" * 100_000)
        handler.close_connection = True

    web.faults["/m/1/model.pth"] = [endless]
    done = sync(web.url, tmp_path)
    assert "it has more than 5 bytes" in done.problems[0]
    assert (tmp_path / ".apus/fetch/m/1/model.pth.part").stat().st_size <= 5


def test_a_version_never_changes(web, tmp_path):
    web.publish({"m": ({1: {"model.pth": b"first"}}, None)})
    assert sync(web.url, tmp_path).code == 0
    web.publish({"m": ({1: {"model.pth": b"other"}, 2: {"model.pth": b"second"}}, None)})
    done = sync(web.url, tmp_path)
    assert done.code == 1
    [problem] = done.problems
    assert problem.startswith("m version 1: model.pth is another in the store than in ")
    assert contents(tmp_path) == {"m/1/model.pth": b"first", "m/2/model.pth": b"second"}


def test_what_was_there_before_is_compared_once(web, tmp_path):
    (tmp_path / "m/1").mkdir(parents=True)
    (tmp_path / "m/1/model.pth").write_bytes(b"here")
    (tmp_path / "m/1/model.plan").write_bytes(b"made here")
    web.publish({"m": ({1: {"model.pth": b"here"}}, None)})
    assert sync(web.url, tmp_path).document["fetched"] == []
    assert web.asked("/m/1/model.pth") == []
    assert len(contents(tmp_path)) == 2


def test_what_vanishes_from_the_store_stays(web, tmp_path):
    web.publish({"m": ({1: {"f": b"1"}, 2: {"f": b"2"}}, {"withdrawn": []}), "n": ({1: {"f": b"n"}}, None)})
    assert sync(web.url, tmp_path).code == 0
    web.publish({"m": ({2: {"f": b"2"}}, {"withdrawn": [1]})})
    done = sync(web.url, tmp_path)
    assert (done.code, done.document["new_states"]) == (0, ["m"])
    assert contents(tmp_path) == {
        "m/1/f": b"1", "m/2/f": b"2", "m/state.json": b'{"withdrawn": [1]}', "n/1/f": b"n"}


def test_a_state_waits_for_the_versions_it_may_name(web, tmp_path):
    web.publish({"m": ({1: {"f": b"1"}}, {"latest": 1})})
    assert sync(web.url, tmp_path).code == 0
    web.publish({"m": ({1: {"f": b"1"}, 2: {"f": b"2"}}, {"latest": 2})})
    good = web.objects.pop("/m/2/f")
    done = sync(web.url, tmp_path)
    assert done.code == 1
    assert done.problems[1] == "m: its new state.json waits until all its versions have come"
    assert contents(tmp_path) == {"m/1/f": b"1", "m/state.json": b'{"latest": 1}'}
    web.objects["/m/2/f"] = good
    assert sync(web.url, tmp_path).code == 0
    assert contents(tmp_path) == {"m/1/f": b"1", "m/2/f": b"2", "m/state.json": b'{"latest": 2}'}


def test_a_new_model_with_a_state_appears_whole_or_not_at_all(web, tmp_path):
    web.publish({"m": ({1: {"f": b"1"}, 2: {"f": b"2"}}, {"withdrawn": [1]})})
    good = web.objects.pop("/m/2/f")
    assert sync(web.url, tmp_path).code == 1
    assert contents(tmp_path) == {}
    web.objects["/m/2/f"] = good
    assert sync(web.url, tmp_path).code == 0
    assert len(web.asked("/m/1/f")) == 1
    assert len(contents(tmp_path)) == 3


def test_a_state_is_replaced_only_when_it_differs(web, tmp_path):
    web.publish({"m": ({1: {"f": b"1"}}, {"a": 1})})
    assert sync(web.url, tmp_path).code == 0
    before = (tmp_path / "m/state.json").stat().st_ino
    assert sync(web.url, tmp_path).code == 0
    assert (tmp_path / "m/state.json").stat().st_ino == before
    web.publish({"m": ({1: {"f": b"1"}}, {"a": 2})})
    assert sync(web.url, tmp_path).code == 0
    assert (tmp_path / "m/state.json").stat().st_ino != before


def test_busy_servers_are_asked_again(web, tmp_path):
    web.publish({"m": ({1: {"f": b"1"}}, None)})
    web.faults["/index.json"] = [web.status(503), web.status(429, Retry_After="0")]
    web.faults["/m/1/f"] = [web.status(500)]
    assert sync(web.url, tmp_path).code == 0
    assert (len(web.asked("/index.json")), len(web.asked("/m/1/f"))) == (3, 2)


def test_but_not_for_ever(web, tmp_path):
    web.faults["/index.json"] = [web.status(503)] * 9
    done = sync(web.url, tmp_path)
    assert done.code == 1
    assert "/index.json: status 503" in done.problems[0]
    assert len(web.asked("/index.json")) == 5


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusals_are_final(web, tmp_path, status):
    web.faults["/index.json"] = [web.status(status)] * 2
    done = sync(web.url, tmp_path)
    assert done.code == 1
    assert done.problems[0].startswith(f"{web.url}/index.json: status {status}; ")
    assert len(web.asked("/index.json")) == 1


def test_nobody_listens(tmp_path):
    done = sync("http://127.0.0.1:9/models", tmp_path)
    assert done.code == 1
    assert done.problems[0].startswith("cannot fetch http://127.0.0.1:9/models/index.json: ")
    assert done.error.count("\n") == 1


def test_a_silent_server_is_given_up(web, tmp_path):
    import threading
    ended = threading.Event()
    web.faults["/index.json"] = [lambda _: ended.wait(30)] * 9
    process = subprocess.Popen(
        [PROGRAM, "sync", web.url, str(tmp_path), "--timeout", "1"], env=environment(), stderr=subprocess.PIPE,
        text=True)
    _, error = process.communicate(timeout=50)
    ended.set()
    assert process.returncode == 1
    assert "Timeout was reached" in error


def test_a_signature_in_the_url_is_sent_and_not_shown(web, tmp_path):
    web.publish({"m": ({1: {"f": b"1"}}, None)})
    assert sync(web.url + "?sig=SECRET", tmp_path).code == 0
    assert all(path.endswith("?sig=SECRET") for path, _ in web.requests)
    done = sync("http://127.0.0.1:9/?sig=SECRET", tmp_path)
    assert done.code == 1 and "SECRET" not in done.error + done.output


def test_an_unchanged_index_is_not_sent_again(web, tmp_path):
    web.publish({"m": ({1: {"f": b"1"}}, None)})
    with Follower(web.url, tmp_path):
        eventually(lambda: len(web.asked("/index.json")) > 3)
    tags = [headers.get("If-None-Match") for headers in web.asked("/index.json")]
    assert tags[0] is None and set(tags[1:]) == {web.tag("/index.json")}


def test_two_folders_converge_on_an_alias(web, tmp_path):
    held = {1: {"f": b"1"}, 2: {"f": b"2"}}
    web.publish({"m": (held, {"aliases": {"prod": 1}})})
    folders = [tmp_path / "a", tmp_path / "b"]
    with Follower(web.url, folders[0]) as first, Follower(web.url, folders[1]):
        eventually(lambda: all((folder / "m/state.json").exists() for folder in folders))
        web.publish({"m": (held, {"aliases": {"prod": 2}})})
        eventually(lambda: all(b'"prod": 2' in (folder / "m/state.json").read_bytes() for folder in folders))
        eventually(lambda: contents(folders[0]) == contents(folders[1]))
    assert first.process.returncode == 0


def test_two_processes_share_a_folder(web, tmp_path):
    web.publish({f"m{n}": ({1: {"f": os.urandom(1000)}}, None) for n in range(30)})
    running = [
        subprocess.Popen([PROGRAM, "sync", web.url, str(tmp_path)], env=environment(), stderr=subprocess.DEVNULL)
        for _ in range(3)]
    assert [process.wait(30) for process in running] == [0, 0, 0]
    assert len([path for path, _ in web.requests if path.endswith("/f")]) == 30


def test_a_follower_says_once_what_is_wrong_and_when_it_is_over(web, tmp_path):
    web.publish({"m": ({1: {"f": b"1"}}, None)})
    web.faults["/index.json"] = [web.status(403)] * 4
    with Follower(web.url, tmp_path) as follower:
        eventually(lambda: (tmp_path / "m/1/f").exists() and len(web.asked("/index.json")) > 6)
    assert follower.error.splitlines() == [
        f"apus-store: {web.url}/index.json: status 403; does it need a signature in its URL?",
        f"apus-store: {web.url} is in step", "apus-store: fetched m version 1, 1 bytes"]


def test_a_follower_ends_at_once_while_it_fetches(web, tmp_path):
    import threading
    web.publish({"m": ({1: {"f": BIG}}, None)})
    ended = threading.Event()

    def stuck(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BIG)))
        handler.end_headers()
        handler.wfile.write(BIG[:1000])
        ended.wait(30)

    web.faults["/m/1/f"] = [stuck]
    with Follower(web.url, tmp_path) as follower:
        eventually((tmp_path / ".apus/fetch/m/1/f.part").exists)
        follower.process.send_signal(signal.SIGTERM)
        assert follower.process.wait(10) == 0
        ended.set()
    assert contents(tmp_path) == {}


def test_index_makes_a_folder_a_store(web, tmp_path):
    source = tmp_path / "source"
    held = {"m/1/model.pth": b"one", "m/1/manifest.json": None, "m/2/ü \"x\".txt": b"two", "m/state.json": b'{"a": [1]}\n'}
    from stores import files
    held["m/1/manifest.json"] = json.dumps({"files": files(("model.pth", b"one"))}).encode()
    for path, data in held.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    done = subprocess.run([PROGRAM, "index", str(source)], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{source}/index.json: 1 models, 2 versions\n")
    for path, data in contents(source).items():
        web.objects["/" + path] = data
    web.objects["/m/2/%C3%BC%20%22x%22.txt"] = b"two"
    done = sync(web.url, tmp_path / "cache")
    assert done.code == 0, done.error
    held["m/state.json"] = b'{"a": [1]}'
    assert contents(tmp_path / "cache") == held
    (source / "m/1/model.pth").write_bytes(b"ONE")
    done = subprocess.run([PROGRAM, "index", str(source)], env=environment(), capture_output=True, text=True)
    assert done.returncode == 1 and "is not what" in done.stderr
