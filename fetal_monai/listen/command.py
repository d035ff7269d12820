"""`fetal-monai listen`: its arguments, and what they mean."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fetal_monai.bundles import UsageError, bundle_dir

__all__ = ["add_parser", "listen"]

EPILOG = """\
Set up the scanner or archive to send to this AE title, host and port. What is kept on disk, and how to clear it:
docs/dicom.md. Without --allow only this computer may send. For research use only.
Ends with Ctrl-C or SIGTERM; whatever ends it, it goes on where it stood when it is started again."""
HOUR_S = 3600.0


def add_parser(commands: Any, common: argparse.ArgumentParser, positive: Callable[[str], float]) -> None:
    """Add the command to the parser's commands; `positive` reads a number above 0."""
    listen = commands.add_parser(
        "listen",
        parents=[common],
        help="take studies from DICOM senders, measure them, send the results on",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = listen.add_argument
    add("--port", type=int, required=True, metavar="N", help="TCP port to listen on, such as 11112")
    add(
        "--bundle",
        required=True,
        metavar="BUNDLE",
        help="its name (see list), or the path of a bundle folder",
    )
    add(
        "--forward",
        action="append",
        default=[],
        metavar="AE@HOST:PORT",
        help="where results go; may be repeated",
    )
    add("--ae-title", default="FETAL_MONAI", metavar="AE", help="own title; default: %(default)s")
    add("--allow", action="append", default=[], metavar="AE,AE", help="titles that may send; no others then")
    add("--bind", metavar="ADDRESS", help="to listen on; default: all with --allow, else only this computer")
    add("--spool", metavar="DIR", help="folder for studies at work; default: .fetal_monai/spool in your home")
    add(
        "--wait", type=positive, default=30.0, metavar="S", help="quiet seconds that end a study; default: 30"
    )
    add(
        "--keep-hours",
        type=_hours,
        default=24.0,
        metavar="H",
        help="images stay so long once sent; default: 24",
    )
    add(
        "--give-up-hours",
        type=positive,
        default=72.0,
        metavar="H",
        help="results are tried so long; default: 72",
    )
    add("--limit-minutes", type=positive, default=60.0, metavar="M", help="a study may take; default: 60")
    add("--deidentify", action="store_true", help="take the patient out of results; no overlays then")
    add("--overlay-config", action="append", default=[], metavar="NAME", help="as for run")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="as for run")


def listen(args: argparse.Namespace) -> int:
    """Take studies from senders until a signal ends it."""
    settings = _settings(args)
    try:
        import highdicom  # noqa: F401
        import pynetdicom  # noqa: F401
    except ImportError as error:
        raise UsageError(f'needs {error.name}: pip install "fetal_monai[dicom]"') from error
    from fetal_monai.listen.service import serve

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("fetal_monai.listen")
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.DEBUG if args.debug else logging.INFO)
    stop = threading.Event()
    for name in ("SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), lambda *_: stop.set())
    serve(settings, stop)
    return 0


def _settings(args: argparse.Namespace) -> Any:
    from fetal_monai.listen.forward import parse_receiver
    from fetal_monai.listen.receive import IMAGES
    from fetal_monai.listen.service import LOOPBACK, Settings
    from fetal_monai.scan.series_choice import ALL
    from fetal_monai.workflow import overrides, settings_of

    bundle = bundle_dir(args.bundle)
    asked: dict[str, Any] = {
        "dicom": True,
        "progress": False,
        **({"deidentify": True} if args.deidentify else {}),
    }
    if "series" in settings_of(bundle):
        asked["series"] = ALL  # nobody is there to be asked
    configs, values = overrides(bundle, args.overlay_config, args.settings, asked)
    for name in ("dataset_dir", "output_dir", "resume"):
        if name in values:
            raise UsageError(f"--set {name}: the listener sets it itself")
    modality = _modality(bundle)
    if modality not in IMAGES:
        raise UsageError(
            f"{bundle.name} is for {modality or 'no known modality'}; there are {', '.join(IMAGES)}"
        )
    allowed = [title.strip() for part in args.allow for title in part.split(",") if title.strip()]
    if args.allow and not allowed:
        raise UsageError("--allow names no AE title")
    for title in (args.ae_title, *allowed):
        if not 0 < len(title.strip()) <= 16 or "\\" in title or not title.isascii():
            raise UsageError(f"{title!r} is no AE title: 1 to 16 characters of ASCII, no backslash")
    if not 0 <= args.port < 2**16:
        raise UsageError(f"--port is {args.port}; 1 to 65535")
    try:
        receivers = [parse_receiver(text) for text in args.forward]
    except ValueError as error:
        raise UsageError(f"--forward: {error}") from error
    return Settings(
        spool=Path(args.spool) if args.spool else Path.home() / ".fetal_monai" / "spool",
        port=args.port,
        ae_title=args.ae_title.strip(),
        modality=modality,
        configs=configs,
        values={"bundle_root": str(bundle), **values},
        allowed=allowed,
        receivers=receivers,
        bind=args.bind or ("" if allowed else LOOPBACK),
        wait_s=args.wait,
        keep_s=args.keep_hours * HOUR_S,
        limit_s=args.limit_minutes * 60,
        give_up_s=args.give_up_hours * HOUR_S,
        captures=not args.deidentify and str(values.get("deidentify", False)).lower() in ("false", "$none"),
        debug=args.debug,
    )


def _modality(bundle: Path) -> str:
    """US or MR, as the bundle's metadata have it."""
    try:
        metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
        (image,) = metadata["network_data_format"]["inputs"].values()
        return str(image["modality"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{bundle}: configs/metadata.json does not say its modality (US or MR)") from error


def _hours(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number of hours, 0 or more, not {text!r}")
    return value
