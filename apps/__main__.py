"""`pocketconv`, also as `python -m apps`."""

import sys

from apps import APPS
from shared.cli.main import main as run


def main() -> None:
    sys.exit(run(sys.argv[1:], APPS))


if __name__ == "__main__":
    main()
