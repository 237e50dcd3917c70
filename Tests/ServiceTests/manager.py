"""A service manager for one test: passes sockets, hears notifications, and prints what happened, a line each."""
import fcntl, os, signal, socket, subprocess, sys, tempfile

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
environment = dict(os.environ, LISTEN_FDS=count, LISTEN_FDNAMES=names,
                   NOTIFY_SOCKET="@" + note if case == "abstract" else note)
server = subprocess.Popen(
    ["/bin/sh", "-c", script, "sh", apus, "serve", "--models", models] + extra,
    env=environment, preexec_fn=place, pass_fds=(3, 4), stderr=subprocess.PIPE, text=True)

try:
    if case in ("closed", "file", "tls"):
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
