"""Accepted records for the site: rows become full records where these are at hand, since pictures need points and curves."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from optisolve.run.table import Table
from optisolve.trust.submission.restore import kept_records
from optisolve.trust.submission.rows import MADE, ROW
from optisolve.trust.submission.rules import ROWS

__all__ = ["export_records"]


def export_records(root: Path, target: Path, archives: Sequence[Path] = ()) -> None:
    """Copy accepted records; what a table's archive holds, or a second run has made, stands there in full.

    Args:
        root: Records, tables and what the audit of rows left beside them: ``SUITE/SUBMITTER/...``.
        target: Empty folder.
        archives: Archives, or folders in which those that tables name are looked for; their hashes are checked.

    Raises:
        RecordError: An archive is not what its table names.
    """
    shutil.copytree(root, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(ROW, MADE))
    for table in sorted(target.glob(f"*/*/{ROWS}")):
        whole = Table.read(table)
        kept, left = kept_records(whole, archives), []
        for row in whole.rows:
            folder = table.parent / row.record.record_id
            made = root / folder.relative_to(target) / MADE
            data = kept[row.record.result_hash]["record.json"] if row.record.result_hash in kept else None
            if data is None and made.is_file():
                data = made.read_bytes()
            if data is None:
                left.append(row)
                continue
            folder.mkdir(exist_ok=True)
            (folder / "record.json").write_bytes(data)
        if left:
            table.write_bytes(Table.of(left, whole.archive).to_bytes())
        else:
            table.unlink()
