"""The part of systemd that keeps descriptors: fake-systemd.py STOREMAX COMMAND...

Runs COMMAND as a service with a notification socket and a file descriptor store. Each line of
standard input is an order: `kill` kills the service and starts it again with its descriptors,
`stop` sends SIGTERM. Prints what happens: `ready`, `store NAMES`, `ended CODE`.
"""

import array
import fcntl
import os
import select
import signal
import socket
import sys
import tempfile

room = int(sys.argv[1])
directory = tempfile.mkdtemp()
path = os.path.join(directory, "notify")
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind(path)
store = []  # [name, fd]


def say(text):
    print(text, flush=True)


def start():
    pid = os.fork()
    if pid > 0:
        return pid
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, 200) for _, fd in store]
    for number, fd in enumerate(copies, 3):
        os.dup2(fd, number)
    os.closerange(3 + len(store), 1024)
    env = {**os.environ, "NOTIFY_SOCKET": path}
    env.pop("FDSTORE", None)
    # Without a store, or before its version 254, systemd does not set it.
    if room > 0 and os.environ.get("SYSTEMD_VERSION") != "252":
        env["FDSTORE"] = str(room)
    if store:
        env["LISTEN_PID"] = str(os.getpid())
        env["LISTEN_FDS"] = str(len(store))
        env["LISTEN_FDNAMES"] = ":".join(name for name, _ in store)
    os.execvpe(sys.argv[2], sys.argv[2:], env)


def on_message():
    text, control, _, _ = server.recvmsg(4096, socket.CMSG_SPACE(4))
    fields = dict(line.split("=", 1) for line in text.decode().splitlines())
    fds = array.array("i")
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[:4])
    name = fields.get("FDNAME", "stored")
    if fields == {"BARRIER": "1"}:
        os.close(fds[0])
    elif fields.get("FDSTORE") == "1":
        assert fields.get("FDPOLL") == "0", fields
        if len(store) < room:
            store.append([name, fds[0]])
        else:
            os.close(fds[0])
    elif fields.get("FDSTOREREMOVE") == "1":
        for entry in [entry for entry in store if entry[0] == name]:
            os.close(entry[1])
            store.remove(entry)
    if fields.get("READY") == "1":
        say("ready")
        say("store " + " ".join(sorted(name for name, _ in store)))


service = start()
while True:
    ready, _, _ = select.select([server, sys.stdin], [], [], 0.05)
    if server in ready:
        on_message()
        continue
    if sys.stdin in ready:
        order = sys.stdin.readline().strip()
        if order == "kill":
            os.kill(service, signal.SIGKILL)
            os.waitpid(service, 0)
            service = start()
        elif order == "stop":
            os.kill(service, signal.SIGTERM)
        elif order == "":
            os.kill(service, signal.SIGKILL)
            break
    ended, status = os.waitpid(service, os.WNOHANG)
    if ended:
        while select.select([server], [], [], 0)[0]:
            on_message()
        say("store " + " ".join(sorted(name for name, _ in store)))
        say(f"ended {os.waitstatus_to_exitcode(status)}")
        break
os.unlink(path)
os.rmdir(directory)
