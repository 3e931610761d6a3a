"""`python -m striate`, the same as the `striate` command."""

import sys

from striate.cli import main

sys.exit(main())
