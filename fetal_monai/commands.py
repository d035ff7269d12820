"""What each command of `fetal-monai` does; arguments come parsed, the exit code is returned."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from fetal_monai.bundles import UsageError, bundle_dir, copy_bundle, list_bundles
from fetal_monai.files import plain
from fetal_monai.label.server import label
from fetal_monai.listen.command import listen

__all__ = [
    "UsageError",
    "compare",
    "copy",
    "deidentify",
    "enhance",
    "explain",
    "fetch",
    "label",
    "list",
    "listen",
    "measure",
    "report",
    "run",
]

MOST_FAILURES = 10  # named in a summary


def explain(error: BaseException) -> str:
    """An error in one line, without the wrappers that MONAI puts around it."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join(str(error).split())
    ours = isinstance(error, ValueError | OSError) or type(error).__module__.startswith("fetal_monai")
    return (
        text
        if ours and text
        else f"{type(error).__name__}: {text or 'no further words'}; --debug shows where"
    )


def run(args: argparse.Namespace) -> int:
    """Run a bundle's inference over a folder of scans."""
    from fetal_monai.workflow import overrides, run_inference

    bundle = bundle_dir(args.bundle)
    if not Path(args.input).exists():
        raise UsageError(f"{args.input} does not exist; give a folder of scans, or one scan")
    progress = sys.stderr.isatty() and not args.quiet
    configs, values = overrides(bundle, args.overlay_config, args.settings, _asked(args, progress))
    info = run_inference(configs, {"bundle_root": str(bundle), **values}, verbose=args.debug)
    out, counts = Path(args.out), info["counts"]
    failed = {entry["filename"]: entry["reason"] for entry in info["inputs"] if entry["status"] != "ok"}
    if args.json:
        rows = json.loads((out / "measurements.json").read_text(encoding="utf-8"))
        paths = {"output_dir": str(out), "report": str(out / "report.html")}
        _print_json({**paths, "counts": counts, "failed": failed, "measurements": rows})
    elif not args.quiet:
        skipped = f", {counts['skipped']} other files left out" if counts["skipped"] else ""
        print(f"{counts['ok']} of {counts['ok'] + counts['failed']} scans done{skipped}")
        for name in ("report.html", "measurements.csv", "run.json"):
            print(f"  {out / name}")
    return _outcome(counts, {} if args.json else failed, out)


def enhance(args: argparse.Namespace) -> int:
    """Enhance a folder of ultrasound pictures."""
    from fetal_monai.enhance import STEPS
    from fetal_monai.enhance_run import enhance_folder

    if not Path(args.input).exists():
        raise UsageError(f"{args.input} does not exist; give a folder of pictures, or one picture")
    steps = STEPS if args.steps is None else tuple(args.steps)
    if unknown := [step for step in steps if step not in STEPS]:
        raise UsageError(f"--steps has {', '.join(unknown)}; there are {', '.join(STEPS)}")
    progress = sys.stderr.isatty() and not args.quiet
    info = enhance_folder(
        args.input, args.out, steps, args.speckle, args.spacing_mm, args.allow_ruler, progress
    )
    out, counts = Path(args.out), info["counts"]
    if args.json:
        _print_json({"output_dir": str(out), "counts": counts, "failed": info["failed"]})
    elif not args.quiet:
        skipped = f", {counts['skipped']} other files left out" if counts["skipped"] else ""
        print(f"{counts['ok']} of {counts['ok'] + counts['failed']} pictures done{skipped}")
        for name in ("enhance.csv", "run.json"):
            print(f"  {out / name}")
    return _outcome(counts, {} if args.json else info["failed"], out)


def list(args: argparse.Namespace) -> int:  # noqa: A001  the command's name
    """Say which bundles there are."""
    bundles = list_bundles()
    if args.json:
        _print_json([{**vars(bundle), "path": str(bundle.path)} for bundle in bundles])
    for bundle in () if args.json else bundles:
        print(f"{bundle.name}  {bundle.version}")
        print(f"    {bundle.description}")
        if bundle.overlays:
            print(f"    --overlay-config {' | '.join(bundle.overlays)}")
        if not bundle.weights:
            print("    no weights: train it first")
    if not bundles:
        print("fetal-monai list: no bundle is installed; install the package again", file=sys.stderr)
    return 0 if bundles else 1


def copy(args: argparse.Namespace) -> int:
    """Copy a bundle's folder."""
    folder = copy_bundle(args.bundle, args.directory)
    print(
        f"{folder}\nRun it: fetal-monai run {folder if folder.name != str(folder) else f'./{folder}'} IN --out OUT"
    )
    return 0


def measure(args: argparse.Namespace) -> int:
    """Measure the head in a mask or drawn outline."""
    from fetal_monai.measure_mask import measure_mask
    from fetal_monai.record import format_value

    measures, flags, spacing_mm, spacing_source = measure_mask(args.mask, args.spacing_mm, args.ga_weeks)
    where = {"filename": args.mask, "spacing_mm": spacing_mm, "spacing_source": spacing_source}
    if args.json:
        plain = {name: value if math.isfinite(value) else None for name, value in measures.items()}
        _print_json({**where, **plain, "flags": flags})
    else:
        width = max(len(name) for name in (*measures, "spacing_source"))
        for name, value in measures.items():
            print(f"{name:<{width}}  {format_value(name, value) or '-'}")
        pixel = (
            "unknown, give --spacing-mm"
            if spacing_mm is None
            else " x ".join(f"{mm:.6g}" for mm in spacing_mm)
        )
        print(f"{'spacing_mm':<{width}}  {pixel} ({spacing_source})")
        print(f"{'flags':<{width}}  {' '.join(flags) or '-'}")
    return 1 if "no_head" in flags else 0


def compare(args: argparse.Namespace) -> int:
    """Compare the brain tumours of two dates."""
    from fetal_monai import tumour_dates

    asked = {
        "patients": args.patient,
        "pair": args.patients,
        "days": args.days,
        "convention": args.convention,
    }
    rows, failed = tumour_dates.compare_dates(args.earlier, args.later, **asked)
    if args.out and rows:
        tumour_dates.write_comparison(args.out, rows)
    if args.json:
        _print_json({"comparisons": plain(rows), "failed": failed, "note": tumour_dates.NOT_A_VERDICT})
    elif rows:
        print("\n\n".join(map(tumour_dates.describe_comparison, rows)))
        print(f"\n{tumour_dates.NOT_A_VERDICT} For research use only.")
    for reason in () if args.json else failed.values():
        print(f"failed: {reason}", file=sys.stderr)
    if not rows:
        return 1
    return 3 if failed else 0


def report(args: argparse.Namespace) -> int:
    """Make the page of a finished run again."""
    from fetal_monai.record import load_run
    from fetal_monai.report.page import write_report

    records, info = load_run(args.output)
    title = (
        args.title or info.get("title") or str(info.get("bundle", "Report")).replace("_", " ").capitalize()
    )
    print(write_report(args.output, records, info, title=title))
    return 0


def fetch(args: argparse.Namespace) -> int:
    """Fetch a dataset, list them all, or check one."""
    from fetal_monai import fetch as fetching

    datasets = fetching.load_manifest()
    if args.list:
        return _list_datasets(datasets, args.json)
    if args.name is None:
        raise UsageError("which dataset? fetal-monai fetch --list names them")
    if args.name not in datasets:
        raise UsageError(f"there is no dataset {args.name!r}; there are: {', '.join(datasets)}")
    dataset = datasets[args.name]
    folder = Path(args.check or args.out or Path("data", dataset.name))
    say = _silent if args.quiet else print
    if args.check:
        problems = fetching.check(dataset, folder)
    elif dataset.access != "direct" and fetching.check(dataset, folder):
        print(fetching.describe(dataset, folder))
        return 1
    else:
        progress = sys.stderr.isatty() and not args.quiet
        problems = fetching.fetch(
            dataset, folder, progress=progress, keep_archives=args.keep_archives, say=say
        )
    for problem in problems:
        print(f"fetal-monai fetch: {problem}", file=sys.stderr)
    if not problems:
        say(f"{dataset.name} is complete in {folder}")
        say(f"Licence: {dataset.licence}. Cite: {dataset.citation}")
    return 1 if problems else 0


def deidentify(args: argparse.Namespace) -> int:
    """Copy DICOM images without the patient."""
    from fetal_monai.deidentify import Deidentifier, deidentify_files

    if not Path(args.input).exists():
        raise UsageError(f"{args.input} does not exist; give a folder of DICOM images, or one")
    done = refused = 0
    for outcome in deidentify_files(args.input, args.out, Deidentifier.from_environment(), args.keep_pixels):
        if outcome.written is None:
            refused += 1
            print(f"refused: {outcome.path}: {outcome.reason}", file=sys.stderr)
        else:
            done += 1
    print(f"{done} of {done + refused} images de-identified in {args.out}; look at them before they leave")
    return 1 if not done else 3 if refused else 0


def _outcome(counts: dict[str, int], failed: dict[str, str], out: Path) -> int:
    """Say what failed, and return the exit code of a run."""
    for reason in [*failed.values()][:MOST_FAILURES]:
        print(f"failed: {reason}", file=sys.stderr)
    if len(failed) > MOST_FAILURES:
        print(f"failed: {len(failed) - MOST_FAILURES} more, see {out / 'run.json'}", file=sys.stderr)
    if not counts["ok"]:
        return 1
    return 3 if counts["failed"] else 0


def _asked(args: argparse.Namespace, progress: bool) -> dict[str, Any]:
    """The configuration's values that options stand for; those that were not given are left as they are."""
    values = {
        "dataset_dir": _no_expression(args.input),
        "output_dir": _no_expression(args.out),
        "progress": progress,
        "spacing_mm": args.spacing_mm,
        "allow_ruler": args.allow_ruler or None,
        "ga_weeks": args.ga_weeks,
        "series": args.series and ",".join(args.series),
        "dicom": args.dicom or None,
        "deidentify": args.deidentify or None,
        "resume": args.resume or None,
        "device": args.device and f"$torch.device('{args.device}')",
    }
    return {name: value for name, value in values.items() if value is not None}


def _no_expression(path: str) -> str:
    """A path as it is: MONAI takes what starts with $, @ or % for an expression."""
    return f"./{path}" if path.startswith(("$", "@", "%")) else path


def _list_datasets(datasets: dict[str, Any], as_json: bool) -> int:
    if as_json:
        _print_json(
            [
                {
                    key: getattr(entry, key)
                    for key in ("name", "title", "licence", "access", "page", "doi", "citation")
                }
                for entry in datasets.values()
            ]
        )
        return 0
    for entry in datasets.values():
        size = sum(file.size or 0 for file in entry.files)
        how = "form" if entry.access != "direct" else f"{size / 1e6:,.0f} MB" if size else "direct"
        print(f"{entry.name:<26}{entry.licence:<28}{how:<10}{entry.title}")
    return 0


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False, default=str, allow_nan=False))


def _silent(_: str) -> None:
    pass
