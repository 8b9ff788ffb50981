"""`python -m apps.segment VERB …` does what `pocketconv segment VERB …` does."""

import sys

from apps import APPS
from shared.cli.main import main

sys.exit(main(["segment", *sys.argv[1:]], APPS))
