"""Where scans come in: what a folder holds, pixels or voxels and spacing, and masks back on a scan's own grid."""

from fetal_monai.scan.errors import ScanError
from fetal_monai.scan.patient import SEQUENCES, PatientSource, find_patients
from fetal_monai.scan.patient_headers import sequence_of_headers
from fetal_monai.scan.patient_names import sequence_of
from fetal_monai.scan.patient_reader import PatientScan, read_patient
from fetal_monai.scan.picture import Grid, Region
from fetal_monai.scan.reader import Scan, read_colours, read_scan
from fetal_monai.scan.source import ScanSource, find_scans, source_of
from fetal_monai.scan.spacing import SpacingTable, check_spacing, read_spacing_csv
from fetal_monai.scan.volume import VolumeScan, check_voxel_size, read_volume_scan
from fetal_monai.scan.volume_source import find_volumes
from fetal_monai.scan.write import (
    write_fractions,
    write_image,
    write_labels,
    write_map,
    write_mask,
    write_picture,
)

__all__ = [
    "SEQUENCES",
    "Grid",
    "PatientScan",
    "PatientSource",
    "Region",
    "Scan",
    "ScanError",
    "ScanSource",
    "SpacingTable",
    "VolumeScan",
    "check_spacing",
    "check_voxel_size",
    "find_patients",
    "find_scans",
    "find_volumes",
    "read_colours",
    "read_patient",
    "read_scan",
    "read_spacing_csv",
    "read_volume_scan",
    "sequence_of",
    "sequence_of_headers",
    "source_of",
    "write_fractions",
    "write_image",
    "write_labels",
    "write_map",
    "write_mask",
    "write_picture",
]
