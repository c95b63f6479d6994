"""The command ``mlops-assets``."""

import sys

import typer

from mlops_assets.cli import (
    approve,
    audit,
    check,
    consume,
    demo,
    drill,
    env,
    evidence,
    explain,
    export,
    feedback,
    incidents,
    keys,
    monitor,
    new,
    policy,
    replay,
    reproduce,
    review,
    rollback,
    rollouts,
    run,
    score,
    serve,
    status,
    up,
    verify,
)
from mlops_assets.cli.output import BAD_INPUT, fail, print_json
from mlops_assets.errors import MlopsError
from mlops_assets.garbage import collect_seldom
from mlops_assets.home import settle_libraries, storage_failure

_OBJECTS_BEFORE_COLLECTION = 100_000

app = typer.Typer(
    name="mlops-assets",
    help="Every model from raw data to a watched production endpoint, through gates that hold.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 good, 1 a finding (a gate refused, a check failed, harm), 2 bad usage or bad "
        "input. State lives in MLOPS_HOME (default .mlops/)."
    ),
)
for command in (
    demo,
    up,
    new,
    check,
    status,
    run,
    monitor,
    incidents,
    review,
    replay,
    feedback,
    serve,
    keys,
    score,
    consume,
    export,
    approve,
    rollback,
    rollouts,
    drill,
    audit,
    policy,
    explain,
    reproduce,
    evidence,
    verify,
    env,
):
    command.add_to(app)


def main() -> None:
    """Run the command line; every error a user can cause ends in one line and exit code 2."""
    settle_libraries()
    collect_seldom(_OBJECTS_BEFORE_COLLECTION)
    try:
        app()
    except MlopsError as error:
        if "--json" in sys.argv:
            print_json({"error": str(error)})
        fail(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(BAD_INPUT)
    except OSError as error:
        reason = storage_failure(error)
        if reason is None:
            raise
        fail(f"{error.filename or 'storage'}: {reason}")


if __name__ == "__main__":
    main()
