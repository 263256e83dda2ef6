"""What was driven, how it ended, and how long it took."""

import contextlib
import sys
import time
import traceback


class Failure(Exception):
    """Something is not as it should be."""


class Row:
    def __init__(self, what):
        self.what, self.ended, self.seconds, self.failed = what, "", 0.0, False

    def __str__(self):
        return f"{'FAIL' if self.failed else 'ok':4} {self.seconds:6.1f} s  {self.what:58} {self.ended}"


class Table:
    """The rows. A step that fails does not keep the next ones from being tried."""

    def __init__(self):
        self.rows, self.begun = [], time.monotonic()

    @contextlib.contextmanager
    def step(self, what):
        row, begun = Row(what), time.monotonic()
        try:
            yield row
        except Exception as fault:
            row.failed, row.ended = True, f"{type(fault).__name__}: {fault}"
            if not isinstance(fault, Failure):
                traceback.print_exc(file=sys.stdout)
        row.seconds = time.monotonic() - begun
        self.rows.append(row)
        print(row, flush=True)

    def close(self):
        """Reports whether all went well."""
        failed = [row for row in self.rows if row.failed]
        print(f"\n{len(self.rows) - len(failed)} as they should be, {len(failed)} not, in {time.monotonic() - self.begun:.0f} s")
        for row in failed:
            print(row)
        return not failed


def require(what, got, want):
    if got != want:
        raise Failure(f"{what}: got {got}, want {want}")


def eventually(what, done, seconds=60):
    """Waits until done() is true, and returns it; what it raises counts as not yet."""
    end, said = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            if found := done():
                return found
        except Failure:
            raise
        except Exception as fault:
            said = fault
        time.sleep(0.3)
    raise Failure(f"{what}: not within {seconds} s ({said})")
