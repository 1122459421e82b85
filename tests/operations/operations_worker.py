"""A process that saves one token after the other, and says which ones are acknowledged."""

from __future__ import annotations

import os

import tokenkeep


def main():
    store = tokenkeep.open_store()
    number = 0
    while True:
        number += 1
        name = f"{os.getpid()}-{number}"
        saved = store.save_token(tokenkeep.Token(user=name, client_id="c", refresh_token=name))
        print(saved.id, flush=True)  # noqa: T201  # that is the protocol


if __name__ == "__main__":
    main()
