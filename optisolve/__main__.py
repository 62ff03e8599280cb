"""``python -m optisolve``."""

from optisolve.cli.main import main

raise SystemExit(main())
