"""MONAI bundles that measure fetal ultrasound and MR, and brain tumour MR."""

__version__ = "0.1.0"
