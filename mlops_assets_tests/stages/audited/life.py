"""A short life of the model ``tumour``, in one process that begins cold: trained, asked, and looked at."""

import sys

from mlops_assets.cli.main import main
from mlops_assets_tests.lifecycle_runs import serve_some


def command(*argv: str) -> None:
    sys.argv = ["mlops-assets", *argv]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    command("run", "tumour", "--as-of", "2024-02-01")
    serve_some(rows=500, start="2024-02-05")
    command("monitor", "tumour", "--as-of", "2024-02-12")
