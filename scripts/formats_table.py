"""Write docs/formats.md: what is read, how exactly, and what is refused, from the table of tests/corpus.

Usage: python scripts/formats_table.py [PAGE]
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Write the page."""
    sys.path.insert(0, str(ROOT / "tests"))
    from corpus.page import page

    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "formats.md"
    target.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
