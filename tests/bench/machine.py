"""The machine and its processes: how a program is started, what a process used, what the CPU is."""
import os
import platform
import socket
import subprocess


class Failed(Exception):
    pass


def environment():
    """OpenBLAS tunes itself for this machine unless it is told otherwise."""
    env = dict(os.environ)
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "STEPPE_FAILPOINT", "STEPPE_SERVER"):
        env.pop(name, None)
    return env


def run(*command, timeout=300):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=timeout,
                          env=environment())
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def peak_mib(pid):
    """Most memory the process ever had; getrusage would count what its parent had at the fork."""
    with open(f"/proc/{pid}/status") as file:
        kib = next(line.split()[1] for line in file if line.startswith("VmHWM:"))
    return int(kib) / 1024


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
