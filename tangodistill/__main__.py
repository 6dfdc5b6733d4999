"""`python -m tangodistill VERB ...`"""

import sys

from tangodistill import cli


def main() -> None:
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
