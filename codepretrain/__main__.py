"""`python -m codepretrain` is the `codepretrain` command."""

import sys

from codepretrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
