"""``python -m dsmfast``."""

from dsmfast.cli import main

raise SystemExit(main())
