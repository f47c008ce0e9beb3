"""Bars: what must hold, what was measured, and the exit code that follows."""

import statistics
import subprocess
import time

from serving import KVASIR, THREADS


class Bars:
    def __init__(self):
        self.rows = []

    def check(self, what, met, figures):
        self.rows.append((what, met, figures))

    def finish(self):
        """Prints every bar; the process's exit code: 1 when one is missed."""
        print("\nbars")
        for what, met, figures in self.rows:
            print(f"  {'PASS' if met else 'MISS'}  {what}: {figures}")
        missed = sum(not met for _, met, _ in self.rows)
        print(f"{len(self.rows) - missed} of {len(self.rows)} bars met", flush=True)
        return 1 if missed else 0


def spread(values, digits=2):
    """Median and both ends, for people."""
    values = list(values)
    median = f"{statistics.median(values):.{digits}f}"
    return median if len(values) == 1 else f"{median} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def head(what, model):
    version = subprocess.run([str(KVASIR), "--version"], capture_output=True, text=True).stdout.strip()
    load = open("/proc/loadavg").read().split()[0]
    print(f"{what}\n{version or 'kvasir'}, {model.name}, {THREADS} threads, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, load at start {load}\n", flush=True)
