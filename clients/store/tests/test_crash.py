"""Killed at any moment, the folder holds whole versions only, and the next process brings the rest."""

import os
import random
import signal
import subprocess
import time

from stores import PROGRAM, contents, environment, sync


def check(folder, models):
    """Every version that a server would see is whole, and no model is empty."""
    seen = 0
    for name in os.listdir(folder) if folder.exists() else []:
        if name.startswith("."):
            continue
        versions = [entry for entry in os.listdir(folder / name) if entry.isdigit()]
        assert versions, f"{name} appeared without a version"
        for version in versions:
            held = {file: (folder / name / version / file).read_bytes() for file in os.listdir(folder / name / version)}
            assert held == models[name][0][int(version)]
            seen += 1
    return seen


def test_kill_at_random_moments(web, tmp_path):
    choice = random.Random(7)
    models = {
        f"m{n}": (
            {v: {"model.pth": choice.randbytes(60_000), "model.yaml": b"%d" % v} for v in range(1, 4)},
            {"alias": n} if n % 2 else None)
        for n in range(6)}
    web.publish(models)
    folder = tmp_path / "cache"
    killed = 0
    for _ in range(40):
        # Some answers are slow, so that the process is killed in the midst of them.
        for name in models:
            web.faults.setdefault(f"/{name}/2/model.pth", []).append(slowly(web))
        process = subprocess.Popen(
            [PROGRAM, "sync", web.url, str(folder)], env=environment(), stderr=subprocess.DEVNULL)
        time.sleep(choice.uniform(0.005, 0.15))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        check(folder, models)
    assert killed > 0
    web.faults.clear()
    done = sync(web.url, folder)
    assert done.code == 0, done.error
    assert check(folder, models) == 18
    assert {path for path in contents(folder) if path.endswith("state.json")} == {
        f"m{n}/state.json" for n in (1, 3, 5)}


def slowly(web):
    def answer(handler):
        time.sleep(0.02)
        web.answer(handler)
    return answer
