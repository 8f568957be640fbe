"""Machines for tests in Python: network namespaces that are joined by links, where they are permitted. The first is
the server's; every other one has a link of its own to it. And worlds that span them."""
import ctypes
import os
import re
import signal
import subprocess

from wire import BUILD, HANG_S, World, await_true, ok, scratch

CLONE_NEWNET = 0x40000000


class Host:
    """A machine: the words before a command that runs there, and the address of the server as it sees it."""

    def __init__(self, prefix, server, port, name=None, address=None):
        self.prefix, self.server, self.name, self.address = prefix, server, name, address
        self.url = "tcp://%s:%d" % (server, port)

    def lose(self, outgoing):
        """From now on nothing that this host sends arrives at the server (or nothing that the server sends here)."""
        where, to = (self.name, self.server) if outgoing else (self.server_name, self.address)
        return ip("-n", where, "route", "add", "blackhole", to + "/32")

    def find(self):
        """Ends what lose() began."""
        ip("-n", self.name, "route", "del", "blackhole", self.server + "/32")
        ip("-n", self.server_name, "route", "del", "blackhole", self.address + "/32")


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0


def drop_leftovers():
    """Hosts of a test that was killed."""
    names = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    drop_hosts(n for n in names if re.fullmatch(r"stp[0-9]+[a-h]", n) and not os.path.exists("/proc/" + n[3:-1]))


def make_hosts(port, count=3):
    """([the server's host, the others ...] or None, names for drop_hosts)."""
    names = ["stp%d%s" % (os.getpid(), letter) for letter in "abcdefgh"[:count]]
    try:
        drop_leftovers()
        made = all(ip("netns", "add", name) for name in names)
    except FileNotFoundError:
        return None, []
    for name in names:
        made = made and ip("-n", name, "link", "set", "lo", "up")
    for i in range(1, count):
        made = made and ip("-n", names[0], "link", "add", "v%d" % i, "type", "veth", "peer", "name", "v0", "netns", names[i])
        for name, link, address in ((names[0], "v%d" % i, "10.77.%d.1/24" % i), (names[i], "v0", "10.77.%d.2/24" % i)):
            made = made and ip("-n", name, "addr", "add", address, "dev", link) and ip("-n", name, "link", "set", link, "up")
    if not made:
        drop_hosts(names)
        return None, names
    hosts = [Host(["ip", "netns", "exec", name], "10.77.%d.1" % max(i, 1), port, name, "10.77.%d.2" % i)
             for i, name in enumerate(names)]
    for host in hosts:
        host.server_name = names[0]
    return hosts, names


def drop_hosts(names):
    for name in names:
        ip("netns", "del", name)


def move_to(host):
    """This thread, and the processes that it starts from now on, are on this host."""
    with open("/run/netns/" + host.name) as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


class Cluster(World):
    """A world whose server has a key and is reached from other hosts; its own ipc socket is the admin's."""

    def __init__(self, name, hosts):
        super().__init__(name)
        self.hosts = hosts
        self.url = "ipc://%s/s" % self.folder
        self.key_file = self.file("cluster.key")
        self.key("new", self.key_file)

    def file(self, name):
        return os.path.join(self.folder, name)

    def key(self, *words):
        got = self.steppe("key", *words)
        if got.returncode != 0:
            raise RuntimeError(got.stderr)
        return got

    def issue(self, role, name, path=None, *more):
        path = path or self.file(name + ".key")
        self.key("issue", self.key_file, "--role", role, "--name", name, "--out", path, *more)
        return path

    def server(self, *words):
        listen = ",".join(dict.fromkeys(h.url for h in self.hosts))
        server = self.spawn("server", *self.hosts[0].prefix, BUILD + "/steppe-server", "--state", self.state, "--listen",
                            listen + "," + self.url, *(words or ("--key", self.key_file)))
        served = await_true(30, lambda: server.poll() is not None or self.steppe("ping").returncode == 0)
        if server.poll() is not None or not served:
            raise RuntimeError("the server does not serve: " + self.log("server")[-300:])
        return self

    def worker_words(self, host, name, key, url=None):
        return [*host.prefix, BUILD + "/steppe-worker", "--connect", url or host.url, "--name", name, "--threads", "1",
                "--cache", os.path.join(scratch, "cache"), *(["--key", key] if key else [])]

    def steppe_at(self, host, key, *words):
        return subprocess.run([*host.prefix, BUILD + "/steppe", "--server", host.url, *(["--key", key] if key else []), *words],
                              capture_output=True, text=True, timeout=HANG_S, check=False)

    def reload(self):
        count = self.log("server").count("gate.keys")
        self.processes["server"].send_signal(signal.SIGHUP)
        ok("SIGHUP reads the keys", await_true(10, lambda: self.log("server").count("gate.keys") > count))

    def finished(self, job, name):
        ok(name, await_true(60, lambda: self.job_state(job) == "done"), self.steppe("show", str(job)).stdout)
        return self.json("show", str(job))["model_sha256"]

    def counts(self):
        """The counters of the last line about what was turned away."""
        lines = re.findall(r"gate\.refused (.*)", self.log("server"))
        return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", lines[-1])} if lines else {}
