"""The demo's processes, as the demo holds them."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

    from tokenkeep.testing.demo.stage import Stage

PATIENCE = 60.0
"""How long an answer may take, in seconds; a renewal waits 45 at most."""


class WorkerFailed(Exception):
    """A process could not do what it was told."""


class Worker:
    """
    A fresh Python that runs `tokenkeep.testing.demo.worker`.

    Args:
        stage: Where it runs.
        store: ``"tokenkeep"`` or ``"FileStore"``.
        number: Of its own; for the names of its files.
    """

    def __init__(self, stage: Stage, store: str, number: int) -> None:
        folder = stage.folder / "sdk" / str(number)
        folder.mkdir(parents=True)
        self._answers: queue.Queue[str | None] = queue.Queue()
        with (folder / "stderr.log").open("wb") as log:
            # A session of its own: Ctrl-C reaches the demo alone, which ends it.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tokenkeep.testing.demo.worker"],
                env=stage.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._send(stage.settings(store) | {"folder": str(folder)})

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, do: str, /, **given: str) -> None:
        """
        Tell it to do something; `answer` waits for it.

        Args:
            do: One of the program's methods.
            given: Its arguments.
        """
        self._send({"do": do, **given})

    def answer(self) -> dict[str, Any]:
        """
        Wait for its answer.

        Returns:
            What it answered. With ``error`` and ``what`` if it failed.

        Raises:
            WorkerFailed: It ended, or takes too long.
        """
        try:
            line = self._answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise WorkerFailed(
                f"process {self.pid} did not answer within {PATIENCE:g} s"
            ) from None
        if line is None:
            raise WorkerFailed(f"process {self.pid} ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def good_answer(self) -> dict[str, Any]:
        """
        Wait for its answer, which must not be a failure.

        Raises:
            WorkerFailed: It is one; or see `answer`.
        """
        answer = self.answer()
        if "error" in answer:
            raise WorkerFailed(": ".join(filter(None, (answer["error"], answer["what"]))))
        return answer

    def ask(self, do: str, /, **given: str) -> dict[str, Any]:
        """Tell it to do something, and wait for its answer, which must not be a failure."""
        self.tell(do, **given)
        return self.good_answer()

    def kill(self) -> None:
        """Send SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._reaped()

    def close(self) -> None:
        """Let it end by itself; kill it if it does not."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reaped()

    def _reaped(self) -> None:
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _send(self, told: dict[str, str]) -> None:
        pipe = self._process.stdin
        if pipe is None:
            return
        # If it has ended, `answer` says so.
        with contextlib.suppress(BrokenPipeError):
            pipe.write(json.dumps(told) + "\n")
            pipe.flush()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._answers.put(line)
        self._answers.put(None)


class Crew:
    """
    All processes of the demo. None of them outlives the ``with`` block.

    Args:
        stage: Where they run.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._all: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self._all:
            worker.kill()

    def hire(self, count: int = 1, *, store: str = "tokenkeep") -> list[Worker]:
        """
        Start processes together, and wait until all of them are ready.

        Args:
            count: How many.
            store: ``"tokenkeep"`` or ``"FileStore"``.

        Raises:
            WorkerFailed: One of them could not open its store.
        """
        new = []
        for _ in range(count):
            worker = Worker(self._stage, store, len(self._all) + 1)
            self._all.append(worker)
            new.append(worker)
        for worker in new:
            worker.good_answer()
        return new

    def one(self, *, store: str = "tokenkeep") -> Worker:
        """Start one process; see `hire`."""
        return self.hire(store=store)[0]
