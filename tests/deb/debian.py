"""A Debian 12 in a folder, in which packages are installed and their services run: booted, where systemd-nspawn can do that;
else the commands of the units are run by hand as their users, under the filter of system calls that the unit asks for, and
this process is the supervisor to whom they report."""
import ctypes
import errno
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess

from wire import HANG_S, await_true, ok, same, skip


def call(*words, **more):
    return subprocess.run(words, **{"capture_output": True, "text": True, "check": False, "stdin": subprocess.DEVNULL, **more})


def must(*words, **more):
    got = call(*words, **more)
    if got.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(words), (got.stdout + got.stderr)[-1500:]))
    return got.stdout


# --- system calls, as systemd filters them for a unit ---

def calls_of(name):
    """Names of system calls that a word of SystemCallFilter= stands for."""
    if not name.startswith("@"):
        return {name}
    told = must("systemd-analyze", "syscall-filter", name).split("\n")
    return set().union(*(calls_of(word) for word in (line.strip() for line in told[1:]) if word and word[0] != "#"))


class ArgumentIs(ctypes.Structure):
    _fields_ = [("number", ctypes.c_uint), ("how", ctypes.c_int), ("value", ctypes.c_uint64), ("other", ctypes.c_uint64)]


class Filter:
    """What SystemCallFilter= and RestrictAddressFamilies= of a unit leave, in libseccomp's words."""
    ALLOW, ERRNO, EQUAL = 0x7fff0000, 0x00050000, 4

    def __init__(self, unit):
        self.lib = ctypes.CDLL("libseccomp.so.2")
        self.lib.seccomp_init.restype = ctypes.c_void_p
        left = set()
        for words in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
            named = set().union(*(calls_of(word) for word in words.lstrip("~").split()))
            left = left - named if words[0] == "~" else left | named
        self.context = ctypes.c_void_p(self.lib.seccomp_init(ctypes.c_uint32(self.ERRNO | errno.EPERM)))
        for name in sorted(left - {"socket"}):
            number = self.lib.seccomp_syscall_resolve_name(name.encode())
            if number >= 0:
                self.lib.seccomp_rule_add(self.context, ctypes.c_uint32(self.ALLOW), number, 0)
        number = self.lib.seccomp_syscall_resolve_name(b"socket")
        for family in re.search(r"^RestrictAddressFamilies=(.*)$", unit, re.M).group(1).split():
            is_it = (ArgumentIs * 1)(ArgumentIs(0, self.EQUAL, getattr(socket, family), 0))
            self.lib.seccomp_rule_add_array(self.context, ctypes.c_uint32(self.ALLOW), number, 1, is_it)

    def load(self):
        if self.lib.seccomp_load(self.context) != 0:
            raise OSError("the filter of system calls is not taken")


def filter_of(unit):
    try:
        return Filter(unit)
    except OSError as error:
        skip("system calls as systemd would filter them", error)
        return None


# --- the Debian ---

def archive():
    """Where apt of this machine has Debian 12 from."""
    told = must("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(ORIGIN)", "Created-By: Packages")
    for line in told.splitlines():
        uri, _, rest = line.partition(" ")
        if rest == "bookworm Debian":
            return uri
    raise RuntimeError("apt knows no archive of Debian 12")


class Debian:
    def __init__(self, folder):
        self.folder, self.machine, self.enter, self.services = folder, None, None, {}

    def at(self, path):
        return self.folder + path

    def text_at(self, path):
        with open(self.at(path), encoding="utf-8") as f:
            return f.read()

    def write(self, path, text, mode=0o644):
        with open(self.at(path), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.at(path), mode)

    def run(self, *words, user="root", stdin=None, **env):
        """The output of a command there."""
        as_user = [] if user == "root" else ["runuser", "-u", user, "--"]
        more = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin, "stdin": None}
        return must(*self.enter, *as_user, *words, timeout=HANG_S, **more,
                    env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **env})

    def make(self):
        must("debootstrap", "--variant=minbase", "--include=debconf,systemd,systemd-sysv,util-linux", "bookworm", self.folder, archive())
        shutil.copy("/etc/resolv.conf", self.at("/etc/resolv.conf"))
        why = self.boot()
        if why:
            skip("a Debian that boots", why + "; the commands of its units are run by hand")
            self.enter = ["chroot", self.folder]
            self.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
            must("mount", "-t", "proc", "proc", self.at("/proc"))
        self.run("apt-get", "update", "-q")

    def boot(self):
        """"", or why it does not."""
        if not shutil.which("systemd-nspawn") or not shutil.which("nsenter"):
            return "needs systemd-nspawn (of systemd-container) and nsenter"
        with open(self.folder + ".boot.log", "ab") as log:
            self.machine = subprocess.Popen(["systemd-nspawn", "--register=no", "--keep-unit", "--console=pipe", "-D", self.folder, "--boot"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def up():
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open("/proc/%s/stat" % pid, encoding="utf-8") as f:
                        parent = int(f.read().rsplit(")", 1)[1].split()[1])
                except OSError:
                    continue
                if parent == self.machine.pid:
                    self.enter = ["nsenter", "-t", pid, "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"]
                    return call(*self.enter, "systemctl", "is-system-running").stdout.strip() in ("running", "degraded")
            return False
        await_true(60, lambda: self.machine.poll() is not None or up())
        if self.machine.poll() is None and up():
            return ""
        self.close()
        return "systemd-nspawn cannot boot here: see %s.boot.log" % self.folder

    @property
    def booted(self):
        return self.machine is not None

    def service(self, name):
        if name not in self.services:
            self.services[name] = (Booted if self.booted else ByHand)(self, name)
        return self.services[name]

    def close(self):
        for service in self.services.values():
            service.kill()
        if self.machine:
            self.machine.terminate()
            try:
                self.machine.wait(HANG_S)
            except subprocess.TimeoutExpired:
                self.machine.kill()
            self.machine = None
        else:
            call("umount", "-l", self.at("/proc"))


class Booted:
    """A service of a Debian that is booted."""

    def __init__(self, debian, name):
        self.debian, self.name, self.number = debian, name, None

    def is_up(self):
        """It has been started by whoever installed or upgraded it."""
        told = dict(line.split("=", 1) for line in self.debian.run(
            "systemctl", "show", self.name, "-p", "ActiveState", "-p", "MainPID", "-p", "WatchdogUSec", "-p", "NotifyAccess").splitlines())
        same(self.name + ": is active", "active", told["ActiveState"])
        ok(self.name + ": is another process than before", told["MainPID"] not in ("0", self.number), told)
        self.number = told["MainPID"]

    def reload(self):
        self.debian.run("systemctl", "reload", self.name)
        same(self.name + ": is active after a reload", "active", call(*self.debian.enter, "systemctl", "is-active", self.name).stdout.strip())

    def is_down(self):
        same(self.name + ": ended well", "success", self.debian.run("systemctl", "show", self.name, "-p", "Result", "--value").strip() or "success")
        ok(self.name + ": is not active", call(*self.debian.enter, "systemctl", "is-active", self.name).stdout.strip() != "active")

    def stop(self):
        self.debian.run("systemctl", "stop", self.name)

    def kill(self):
        pass

    def log(self):
        return self.debian.run("journalctl", "-q", "-o", "cat", "-u", self.name)


class ByHand:
    """A service that is run as its unit says."""

    def __init__(self, debian, name):
        self.debian, self.name, self.process, self.told = debian, name, None, []
        unit = debian.text_at("/lib/systemd/system/%s.service" % name)
        self.of = dict(re.findall(r"^(\w+)=(.*)$", unit, re.M))
        self.filter = filter_of(unit)
        self.path = "%s.%s.log" % (debian.folder, name)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.address = "steppe-check-%d-%s" % (os.getpid(), name)
        self.notify.bind("\0" + self.address)
        self.notify.setblocking(False)

    def hears(self, word):
        while True:
            try:
                self.told += self.notify.recv(4096).decode().split("\n")
            except BlockingIOError:
                return word in self.told

    def log(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read()

    def become(self):
        """After fork: the unit's user, in its Debian, with its system calls."""
        os.chroot(self.debian.folder)
        os.chdir("/")
        who = pwd.getpwnam(self.of["User"])
        os.setgroups([who.pw_gid])
        os.setgid(who.pw_gid)
        os.setuid(who.pw_uid)
        os.umask(int(self.of["UMask"], 8))
        if self.filter:
            self.filter.load()

    def is_up(self):
        """Starts it, in place of what runs, as whoever installs or upgrades it would."""
        if self.process:
            self.stop()
        if "RuntimeDirectory" in self.of:
            self.debian.run("install", "-d", "-o", self.of["User"], "/run/" + self.of["RuntimeDirectory"])
        self.told = []
        with open(self.path, "ab") as log:
            self.process = subprocess.Popen(
                shlex.split(self.of["ExecStart"]), preexec_fn=self.become, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin", "WATCHDOG_USEC": "1000000", "NOTIFY_SOCKET": "@" + self.address})
        await_true(60, lambda: self.hears("READY=1") or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise RuntimeError("%s does not start: %s" % (self.name, self.log()[-1000:]))
        ok(self.name + ": says that it is ready, and alive", await_true(60, lambda: self.hears("WATCHDOG=1")))

    def reload(self):
        self.told = []
        os.kill(self.process.pid, 1)
        ok(self.name + ": reloads", await_true(60, lambda: self.hears("RELOADING=1") and self.hears("READY=1")))

    def stop(self):
        self.process.terminate()
        await_true(60, lambda: self.hears("STOPPING=1") and self.process.poll() is not None)
        same(self.name + ": ends by itself", 0, self.process.poll())
        ok(self.name + ": has said that it stops", self.hears("STOPPING=1"), self.told)
        self.process = None

    def is_down(self):
        if self.process:
            self.stop()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
