"""`python -m tangodistill VERB ...`"""

import sys

from tangodistill.cli import main as cli
from tangodistill.latency.cores import tell_openmp


def main() -> None:
    tell_openmp()
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
