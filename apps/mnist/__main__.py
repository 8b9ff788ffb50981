"""`python -m apps.mnist VERB …` does what `pocketconv mnist VERB …` does."""

import sys

from apps import APPS
from shared.cli.main import main

sys.exit(main(["mnist", *sys.argv[1:]], APPS))
