"""The CSV file of the official SDK's FileStore, of every generation."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError
from tokenkeep.importing import columns
from tokenkeep.importing.row import Row
from tokenkeep.importing.source import SourceFile, foreign, readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_LONGEST = 1_000_000
"""How many characters one value may have; more is a quote that was never closed."""


class CSVFile(SourceFile):
    """
    Read the CSV file of a FileStore.

    Args:
        path: Where it is.
        encoding: As in `open_source`.
        client_id: As in `open_source`.

    Raises:
        ConfigurationError: It is something else, or in another encoding.
    """

    kind = "CSV file of the official SDK"

    def __init__(self, path: Path, encoding: str | None, client_id: str | None = None) -> None:
        super().__init__(path, client_id)
        with readable(path), path.open("rb") as file:
            mark = file.read(2)
        self._encoding = encoding or _MARKS.get(mark, "utf-8-sig")
        self._header = self._read_header()

    def _read_header(self) -> list[str]:
        first: list[str] = next((values for _, values in self._lines()), [])
        header = [name.strip().lower() for name in first]
        if not header:
            raise foreign(self.path, "is empty")
        if not columns.are_ours(header):
            raise foreign(self.path, "holds no tokens of the official SDK: its first line differs")
        return header

    def _rows(self) -> Iterator[Row]:
        lines = self._lines()
        next(lines)
        for number, values in lines:
            if len(values) == len(self._header):
                # Two processes that start at once may both write the header.
                if [value.strip().lower() for value in values] != self._header:
                    yield columns.row(number, self._header, values, self._client_id)
            else:
                yield Row(
                    number=number,
                    problem=f"it has {len(values)} columns, not {len(self._header)}",
                )

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the lines that are not blank, with their numbers."""
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))
        try:
            # Without newline="" a line break inside a token would be changed.
            with readable(self.path), self.path.open(encoding=self._encoding, newline="") as file:
                # Strict: else a quote that was never closed hides all that follows.
                reader = csv.reader(file, strict=True)
                begins = 1
                for values in reader:
                    if any(values):
                        yield begins, values
                    begins = reader.line_num + 1
        except LookupError as exc:
            raise ConfigurationError(f"There is no encoding {self._encoding!r}") from exc
        except UnicodeError as exc:
            raise ConfigurationError(
                f"{self.path} is not text in {self._encoding.removesuffix('-sig')}",
                hint="Name its encoding with --encoding, e.g. cp1252 for a file of a Western "
                "European Windows",
            ) from exc
        except csv.Error as exc:
            raise ConfigurationError(
                f"{self.path} is damaged behind line {reader.line_num}: {exc}",
                hint="Mend or remove that line in a copy, and import the copy",
            ) from exc
