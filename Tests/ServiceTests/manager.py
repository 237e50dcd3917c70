"""A service manager for one test: passes sockets, hears notifications, and prints what happened, a line each."""
import ctypes, fcntl, os, signal, socket, subprocess, sys, tempfile, time

apus, models, case = sys.argv[1:4]
folder = tempfile.mkdtemp()
path, note = folder + "/s", folder + "/n"
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind("\0" + note if case == "abstract" else note)
notify.settimeout(30)
unix = socket.socket(socket.AF_UNIX)
unix.bind(path)
unix.listen()
tcp = socket.socket()
tcp.bind(("127.0.0.1", 0))
tcp.listen()
inode = os.stat(path).st_ino

count, pid, extra, passed = "2", "$$", [], [unix.fileno(), tcp.fileno()]
own = folder + "/own"
if case == "wrong-pid":
    pid, extra = "1", ["--listen", "unix:" + own]
elif case == "matched":
    extra = ["--listen", "unix:" + path, "--listen", "tcp://localhost:%d" % tcp.getsockname()[1]]
elif case == "closed":
    count = "3"
elif case == "file":
    passed = [unix.fileno(), os.open("/dev/null", os.O_RDONLY)]
names = "main:tls-x" if case == "tls" else "main:other"

# Well above 3 first, so that no descriptor is overwritten before it is passed.
high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in passed]


def place():
    for index, fd in enumerate(high):
        os.dup2(fd, 3 + index)


script = "LISTEN_PID=%s exec \"$@\"" % pid
watched = case.startswith("watchdog")
environment = dict(os.environ, LISTEN_FDS=count, LISTEN_FDNAMES=names,
                   NOTIFY_SOCKET="@" + note if case == "abstract" else note)
if watched:
    environment["WATCHDOG_USEC"] = "400000"
    script = "WATCHDOG_PID=%s %s" % ("1" if case == "watchdog-other" else "$$", script)
server = subprocess.Popen(
    ["/bin/sh", "-c", script, "sh", apus, "serve", "--models", models, "--threads", "2"] + extra,
    env=environment, preexec_fn=place, pass_fds=(3, 4), stderr=subprocess.PIPE, text=True)

try:
    def heard(seconds, wanted=None):
        """Messages that come within so long, or as many as are wanted."""
        end, messages = time.monotonic() + seconds, []
        while (left := end - time.monotonic()) > 0 and len(messages) != wanted:
            notify.settimeout(left)
            try:
                messages.append(notify.recv(4096).decode())
            except TimeoutError:
                pass
        return messages

    if watched:
        print("ready", heard(30, 1)[0].startswith("READY=1"))
        if case == "watchdog-other":
            print("silent", heard(1) == [])
        else:
            print("alive", heard(30, 3) == ["WATCHDOG=1"] * 3)
            # One reactor of the two is stopped: the others, and the thread that sends, go on.
            tasks = "/proc/%d/task/" % server.pid
            thread = next(int(task) for task in os.listdir(tasks)
                          if open(tasks + task + "/comm").read().strip() == "apus-reactor-1")
            libc = ctypes.CDLL(None, use_errno=True)
            attach, detach, all_threads = 16, 17, 0x40000000
            assert libc.ptrace(attach, thread, 0, 0) == 0, os.strerror(ctypes.get_errno())
            os.waitpid(thread, all_threads)
            # What it had answered before may still be told.
            print("held back", len(heard(2)) <= 1)
            assert libc.ptrace(detach, thread, 0, 0) == 0
            print("alive", heard(30, 2) == ["WATCHDOG=1"] * 2)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
        print("status", server.returncode)
    elif case in ("closed", "file", "tls"):
        print("error", server.communicate(timeout=30)[1].strip())
    else:
        def hear():
            print("heard", notify.recv(4096).decode().replace("\n", " "), flush=True)
        hear()
        targets = ["unix:" + own] if case == "wrong-pid" else [
            "unix:" + path, "tcp://127.0.0.1:%d" % tcp.getsockname()[1]]
        for target in targets:
            health = subprocess.run([apus, "health", "--to", target], capture_output=True, timeout=30)
            print("health", health.returncode)
        server.send_signal(signal.SIGHUP)
        hear()
        hear()
        server.send_signal(signal.SIGTERM)
        hear()
        log = server.communicate(timeout=30)[1]
        print("status", server.returncode)
        print("listening", log.count("listening on "))
        print("kept", os.path.exists(path) and os.stat(path).st_ino == inode)
        # What the manager still holds takes connections for the next process.
        socket.create_connection(tcp.getsockname(), 5).close()
        again = socket.socket(socket.AF_UNIX)
        again.connect(path)
        print("waiting True")
finally:
    if server.poll() is None:
        server.kill()
        server.wait()
