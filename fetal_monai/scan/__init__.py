"""Where scans come in: what a folder holds, pixels and spacing, and masks back on a scan's own grid."""

from fetal_monai.scan.picture import Grid, Region, ScanError
from fetal_monai.scan.reader import Scan, read_scan
from fetal_monai.scan.source import ScanSource, find_scans
from fetal_monai.scan.spacing import SpacingTable, check_spacing, read_spacing_csv
from fetal_monai.scan.write import write_mask

__all__ = [
    "Grid",
    "Region",
    "Scan",
    "ScanError",
    "ScanSource",
    "SpacingTable",
    "check_spacing",
    "find_scans",
    "read_scan",
    "read_spacing_csv",
    "write_mask",
]
