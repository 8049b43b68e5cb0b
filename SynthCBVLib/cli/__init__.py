"""The command line: one module a verb, found by name.

A verb module has ``HELP`` (one line), ``add_arguments(parser)`` and ``run(args) -> None``.
Exit codes: 0 done, 2 bad input (one message, no traceback), 1 a fault of ours, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from SynthCBVLib import __version__
from SynthCBVLib.errors import Cancelled, InputError

#: Verb -> module below this package; a module is imported only when help or its verb needs it.
VERBS: dict[str, str] = {
    "demo": "demo",
    "phantom": "phantom",
    "synthesize": "synthesize",
    "fit-ivim": "fit_ivim",
    "quantify-asl": "quantify_asl",
    "quantify-dsc": "quantify_dsc",
    "register": "register",
    "ratios": "ratios",
    "agreement": "agreement",
    "train": "train",
    "evaluate": "evaluate",
    "models": "models",
    "doctor": "doctor",
}


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Build the argument parser.

    Parameters
    ----------
    only : str, optional
        Import the module of this verb alone; the others are listed by name.
    """
    parser = argparse.ArgumentParser(
        prog="python -m SynthCBVLib",
        description="Synthetic rCBV maps from IVIM or ASL MRI. Research demonstration, not for diagnosis.",
    )
    parser.add_argument("--version", action="version", version=f"SynthCBV {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, module_name in VERBS.items():
        if only is not None and verb != only:
            continue
        module = importlib.import_module(f"SynthCBVLib.cli.{module_name}")
        sub = verbs.add_parser(verb, help=module.HELP, description=module.HELP)
        module.add_arguments(sub)
        sub.set_defaults(run_verb=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and give its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0 done, 2 bad input, 1 a fault of ours, 130 interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    only = argv[0] if argv and argv[0] in VERBS else None
    args = build_parser(only).parse_args(argv)
    try:
        args.run_verb(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Cancelled):
        print("cancelled", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:
        traceback.print_exc()
        print("This is a fault of SynthCBV, not of your data; please report it with the lines above.",
              file=sys.stderr)  # fmt: skip
        return 1
    return 0
