"""Windows from open to closed, over HTTP and by invocations, and switching them off."""

import datetime
import signal
import time

from table import eventually, require


def states(window):
    return [one["state"] for one in window["identifiers"]]


def drive(table, around, main):
    def post(path, body=None, key=None):
        return main.api("POST", "/windows" + path, body, headers={"Idempotency-Key": key} if key else None)
    with table.step("windows: opened, once by its idempotency key") as row:
        body = {"identifiers": [60, 61], "for": "PT1H", "reason": "CHG1"}
        status, window = post("", body, "key-1")
        require("opened", (status, states(window)), (201, ["enabled", "enabled"]))
        again, same = post("", body, "key-1")
        other, problem = post("", body | {"for": "PT2H"}, "key-1")
        require("again, and with other content", (again, same["id"], other, problem["code"]), (200, window["id"], 409, "idempotency_conflict"))
        require("opened by", window["opened_by"], "arn:aws:sts::123456789012:assumed-role/operations/alice")
        row.ended = "201, 200, 409"
    with table.step("windows: extended, listed, read") as row:
        status, extended = post(f"/{window['id']}/extend", {"by": "PT1H", "reason": "CHG2"})
        require("extended", (status, len(extended["extensions"])), (200, 1))
        listed = main.api("GET", "/windows?identifier=60")[1]["windows"]
        require("listed and read", ([one["id"] for one in listed], main.api("GET", "/windows/" + window["id"])[1]), ([window["id"]], extended))
        row.ended = "200, three times"
    with table.step("windows: another overlaps, and each is ended early") as row:
        overlap = main.invoke("WindowFunction", {"window": {"identifiers": [61], "for": "PT30M"}})
        closed, last = post(f"/{window['id']}/close", {"reason": "done"})[1], main.invoke("WindowFunction", {"close": {"id": overlap["id"]}})
        require("closed", (closed["state"], states(closed), last["state"], states(last)), ("closed", ["disabled", "kept"], "closed", ["disabled"]))
        row.ended = "disabled, kept, and disabled by the last one"
    with table.step("windows: refused, and shut to strangers") as row:
        got = [(status, answer["code"]) for status, answer in (
            main.api("GET", "/windows/none"), post(f"/{window['id']}/extend", {"by": "PT1H"}), post("", {"identifiers": [1000], "for": "PT1H"}), post("", {"identifiers": [60], "for": "P2D"}))]
        require("replies", got, [(404, "window_not_found"), (409, "window_closed"), (403, "not_allowed"), (400, "invalid_request")])
        require("a stranger", main.api("GET", "/windows", caller=around.stranger)[0], 403)
        row.ended = "404, 409, 403, 400; 403"
    with table.step("windows: one that ends by itself, reconciled") as row:
        short = main.invoke("WindowFunction", {"window": {"identifiers": [62], "for": "PT2S"}})
        until = datetime.datetime.fromisoformat(short["until"]).timestamp()
        time.sleep(max(0, until - time.time()) + 0.1)
        main.invoke("WindowFunction", {"reconcile": True})
        ended = main.api("GET", "/windows/" + short["id"])[1]
        require("ended", (ended["state"], ended["closed_by"], states(ended)), ("closed", "time", ["disabled"]))
        require("audit lines", [(one["action"], one["window"]) for one in main.audit("WindowFunction", 62)], [("enable", short["id"]), ("disable", short["id"])])
        row.ended = "closed by time"


class Stubborn:
    """A window that cannot be closed, since Segura does not answer: windows cannot be
    switched off. The call that got no answer may land for a minute, so it is asked
    for late whether the reconciler, run by its own schedule, closed it."""

    def __init__(self, table, around, main):
        self.main = main
        with table.step("failed update: windows are not switched off without Segura") as row:
            self.window = main.invoke("WindowFunction", {"window": {"identifiers": [163], "for": "PT3H"}})
            require("opened", states(self.window), ["enabled"])
            around.segura.send_signal(signal.SIGSTOP)
            try:
                row.ended = main.update(WindowsEnabled="false")
            finally:
                around.segura.send_signal(signal.SIGCONT)
            require("the update", row.ended, "UPDATE_ROLLBACK_COMPLETE")
            require("parameters and windows", (main.parameters()["WindowsEnabled"], main.live()), ("true", [self.window["id"]]))

    def drive(self, table):
        with table.step("the reconciler's own schedule closes that window") as row:
            eventually("closed", lambda: self.window["id"] not in self.main.live(), 150)
            window = self.main.invoke("WindowFunction", {"close": {"id": self.window["id"]}})
            require("window", (window["state"], states(window)), ("closed", ["disabled"]))
            row.ended = "closed"


def switch_off(table, main):
    with table.step("windows are switched off with one open") as row:
        main.invoke("WindowFunction", {"window": {"identifiers": [64], "for": "PT1H"}})
        row.ended = main.update(WindowsEnabled="false")
        require("the update", (row.ended, main.live()), ("UPDATE_COMPLETE", []))
        require("audit lines", [one["action"] for one in main.audit("WindowFunction", 64)], ["enable", "disable"])
        require("the API", main.api("GET", "/windows")[0], 404)
    with table.step("windows are switched on again") as row:
        row.ended = main.update(WindowsEnabled="true")
        require("the update", row.ended, "UPDATE_COMPLETE")
