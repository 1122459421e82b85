"""What `EmulatorControl` says when there is no emulator to drive."""

from __future__ import annotations

import http.server
import threading

import pytest

from tokenkeep.testing import EmulatorControl, ZohoEmulator


def test_stopped():
    """An emulator that was stopped is a ConnectionError that says so, whatever is asked of it."""
    zoho = ZohoEmulator().start()
    control = EmulatorControl(zoho.control_url)
    assert control.state()
    zoho.stop()

    for call in (control.state, control.clock.now, control.refresh_token, control.faults.clear):
        with pytest.raises(ConnectionError, match=r"No emulator answers at http://127.*start it"):
            call()


class _Other(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_args):
        pass


class _Missing(_Other):
    status = 404


@pytest.mark.parametrize("handler", [_Other, _Missing])
def test_something_else(handler):
    """A server that is no emulator is named as that, not as broken JSON."""
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        control = EmulatorControl(f"http://127.0.0.1:{server.server_port}")

        with pytest.raises(ConnectionError, match="No emulator answers"):
            control.state()
        server.shutdown()
