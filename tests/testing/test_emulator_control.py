"""What `EmulatorControl` says when there is no emulator to drive."""

from __future__ import annotations

import http.server
import threading

import pytest

from tokenkeep import settings
from tokenkeep.testing import EmulatorControl, ZohoEmulator, emulator_configuration


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


def test_configuration(zoho, tmp_path):
    """The configuration names the emulator's places, also from another process, and its budget."""
    control = EmulatorControl(zoho.control_url)
    plain = emulator_configuration(control)
    zoho.options.throttle_window = 60
    path = tmp_path / "config.toml"
    path.write_text(emulator_configuration(zoho))

    providers = settings({"TOKENKEEP_CONFIG": str(path)}).providers()
    known = providers.named("zoho")

    assert emulator_configuration(control) == path.read_text()
    assert zoho.us.token_url == known.table.by_name("us").token_endpoint
    assert (10, 60.0) == (known.profile.mint_limit, known.profile.mint_window)
    assert "profile" not in plain
