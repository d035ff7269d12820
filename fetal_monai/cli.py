"""The command `fetal-monai`: reads its arguments, and says what went wrong in one line.

Exit codes: 0 all done, 1 nothing could be done, 2 wrong usage, 3 some scans failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence

import fetal_monai
from fetal_monai.listen.command import add_parser as add_listen

__all__ = ["main"]

RUN_EPILOG = """\
The same with MONAI: python -m monai.bundle run --config_file BUNDLE/configs/inference.yaml
  --bundle_root BUNDLE --dataset_dir IN --output_dir OUT
IN: PNG, JPEG, BMP, TIFF, DICOM, NIfTI, MHA, NRRD. Spacing comes from the file, from a CSV beside the images
(filename, pixel size(mm)) or from --spacing-mm; it is never guessed.
Exit codes: 0 all scans done, 1 none could be done, 2 wrong usage, 3 some failed (see run.json)."""

COMPARE_EPILOG = """\
Patients are matched by name: all that both have, unless some are named. Two dates that one run measured:
  fetal-monai compare OUT OUT --patients p1_2024 p1_2025
Labels are measured as they are now, so corrected ones count. Thresholds are named, none is a verdict.
Exit codes: 0 all compared, 1 none, 2 wrong usage, 3 some failed."""

ENHANCE_EPILOG = """\
Writes <stem>_enhanced.png (NIfTI for NIfTI, MHA and NRRD), <stem>_compare.png, enhance.csv (spacing), run.json.
For looking at pictures: measured, it does not make measurements better (docs/enhancement.md).
Exit codes: 0 all pictures done, 1 none could be done, 2 wrong usage, 3 some failed (see run.json)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, those of the process by default, and return its exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    from fetal_monai import commands

    try:
        return int(getattr(commands, args.command)(args))
    except commands.UsageError as error:
        print(f"fetal-monai {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nfetal-monai: interrupted; what is finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if args.debug:
            raise
        print(f"fetal-monai {args.command}: {commands.explain(error)}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fetal-monai",
        description="MONAI bundles that measure fetal ultrasound and MR, and brain tumour MR. For research use only.",
    )
    parser.add_argument("--version", action="version", version=f"fetal-monai {fetal_monai.__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error, and the log")
    spaced = argparse.ArgumentParser(add_help=False)
    spaced.add_argument(
        "--spacing-mm", type=_spacing, metavar="MM", help="mm per pixel of all scans, or ROW,COLUMN"
    )
    spaced.add_argument(
        "--allow-ruler",
        action="store_true",
        help="2D ultrasound without spacing: read it from the depth ruler in the picture, and flag it",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        parents=[common, spaced],
        help="measure a folder of scans with a bundle",
        epilog=RUN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("bundle", metavar="BUNDLE", help="its name (see list), or the path of a bundle folder")
    run.add_argument("input", metavar="IN", help="a folder of scans, one scan, or a DICOMDIR")
    run.add_argument("--out", required=True, metavar="OUT", help="folder for masks, tables and report.html")
    run.add_argument(
        "--ga-weeks", type=_positive, metavar="W", help="gestational age of all scans, for centiles"
    )
    run.add_argument(
        "--series",
        action="append",
        metavar="N",
        help="of a DICOM study: the series of this number or UID, may be repeated; or all that fit",
    )
    run.add_argument(
        "--dicom",
        action="store_true",
        help="also write a DICOM Segmentation and Structured Report of DICOM scans",
    )
    run.add_argument("--deidentify", action="store_true", help="with --dicom: take the patient out of them")
    run.add_argument("--resume", action="store_true", help="do only what an earlier run into OUT left undone")
    run.add_argument(
        "--overlay-config",
        action="append",
        default=[],
        metavar="NAME",
        help="lay a further configuration of the bundle over it, such as segnet; may be repeated",
    )
    run.add_argument(
        "--device", type=_device, metavar="D", help="cpu, cuda, cuda:1 or mps; the best by default"
    )
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="override any value of the configuration, such as batch_size=4; may be repeated",
    )
    run.add_argument("--json", action="store_true", help="print the results as JSON")
    run.add_argument("--quiet", action="store_true", help="no progress bar, no summary")

    listing = commands.add_parser("list", parents=[common], help="list the bundles")
    listing.add_argument("--json", action="store_true", help="print them as JSON")

    copy = commands.add_parser("copy", parents=[common], help="copy a bundle, to change it")
    copy.add_argument("bundle", metavar="BUNDLE")
    copy.add_argument("directory", metavar="DIR", help="an existing folder to copy it into, or its new name")

    measure = commands.add_parser(
        "measure", parents=[common], help="measure a head in a mask, or in an outline that was drawn"
    )
    measure.add_argument("mask", metavar="MASK", help="PNG, JPEG, BMP, TIFF, DICOM, NIfTI, MHA or NRRD")
    measure.add_argument(
        "--spacing-mm",
        type=_spacing,
        metavar="MM",
        help="mm per pixel, or ROW,COLUMN; default: what the file says",
    )
    measure.add_argument("--ga-weeks", type=_positive, metavar="W", help="gestational age, for centiles")
    measure.add_argument("--json", action="store_true", help="print the measures as JSON")

    compare = commands.add_parser(
        "compare",
        parents=[common],
        help="compare the brain tumours of two dates",
        epilog=COMPARE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.add_argument(
        "earlier", metavar="EARLIER", help="output folder of a run, or a <patient>_seg.nii.gz"
    )
    compare.add_argument("later", metavar="LATER", help="the same of the later date")
    who = compare.add_mutually_exclusive_group()
    who.add_argument(
        "--patient", action="append", default=[], metavar="NAME", help="only this one; may be repeated"
    )
    who.add_argument(
        "--patients", nargs=2, metavar=("EARLIER_NAME", "LATER_NAME"), help="one patient under two names"
    )
    compare.add_argument("--days", type=_positive, metavar="N", help="days between them, for mL by 30 days")
    compare.add_argument(
        "--convention",
        choices=("brats2013", "brats2018", "brats2023"),
        help="of label files that no run made; runs say it themselves",
    )
    compare.add_argument("--out", metavar="CSV", help="also write a row for each patient into this file")
    compare.add_argument("--json", action="store_true", help="print the comparison as JSON")

    enhance = commands.add_parser(
        "enhance",
        parents=[common, spaced],
        help="clear 2D ultrasound pictures of marks and speckle, level gain and contrast",
        epilog=ENHANCE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    enhance.add_argument("input", metavar="IN", help="a folder of pictures, or one picture")
    enhance.add_argument(
        "--out", required=True, metavar="OUT", help="folder for pictures, enhance.csv and run.json"
    )
    enhance.add_argument(
        "--steps",
        type=_words,
        metavar="STEP,STEP",
        help="which of marks, gain, speckle, contrast; default: all, always in this order",
    )
    enhance.add_argument(
        "--speckle", choices=("srad", "nlm"), default="srad", help="diffusion (srad), or non-local means"
    )
    enhance.add_argument("--json", action="store_true", help="print what became of the pictures as JSON")
    enhance.add_argument("--quiet", action="store_true", help="no progress bar, no summary")

    add_listen(commands, common, _positive)

    report = commands.add_parser("report", parents=[common], help="make report.html of a finished run again")
    report.add_argument("output", metavar="OUT", help="the output folder of the run")
    report.add_argument("--title", help="heading of the page")

    deidentify = commands.add_parser(
        "deidentify", parents=[common], help="copy DICOM images without the patient (PS3.15 Basic Profile)"
    )
    deidentify.add_argument("input", metavar="IN", help="a folder of DICOM images, or one")
    deidentify.add_argument("--out", required=True, metavar="OUT", help="folder for the copies")
    deidentify.add_argument(
        "--keep-pixels",
        action="store_true",
        help="leave pictures as they are, also where text on ultrasound can't be blacked",
    )

    label = commands.add_parser(
        "label", parents=[common], help="serve the bundles to 3D Slicer and OHIF with MONAI Label"
    )
    what = label.add_mutually_exclusive_group(required=True)
    what.add_argument("--studies", metavar="DIR", help="the folder of images to annotate; made if missing")
    what.add_argument("--path", action="store_true", help="print the app folder, for monailabel start_server")
    label.add_argument(
        "--models", default="all", metavar="NAME,NAME", help="bundles to serve (see list); default: all"
    )
    label.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on; default: this computer alone"
    )
    label.add_argument("--port", type=int, default=8000, help="default: 8000")

    fetch = commands.add_parser(
        "fetch", parents=[common], help="fetch a public dataset, or say how it is had"
    )
    fetch.add_argument("name", metavar="NAME", nargs="?", help="see --list")
    fetch.add_argument("--out", metavar="DIR", help="where it shall lie; default: data/NAME")
    fetch.add_argument("--list", action="store_true", help="list the datasets, their size and terms")
    fetch.add_argument("--check", metavar="DIR", help="only check whether NAME is complete in DIR")
    fetch.add_argument("--keep-archives", action="store_true", help="do not delete archives once unpacked")
    fetch.add_argument("--json", action="store_true", help="with --list: print them as JSON")
    fetch.add_argument("--quiet", action="store_true", help="no progress bar; only what is wrong")
    return parser


def _spacing(text: str) -> float | list[float]:
    """One value, or rows and columns, in mm per pixel."""
    values = [_positive(part) for part in text.split(",")]
    if len(values) > 2:
        raise argparse.ArgumentTypeError(f"one value or ROW,COLUMN in mm per pixel, not {text!r}")
    return values[0] if len(values) == 1 else values


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0, with a decimal point, not {text!r}")
    return value


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _device(text: str) -> str:
    kind, _, number = text.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdigit()):
        raise argparse.ArgumentTypeError(f"cpu, cuda, cuda:0 or mps, not {text!r}")
    return text


if __name__ == "__main__":
    sys.exit(main())
