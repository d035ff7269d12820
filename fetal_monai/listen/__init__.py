"""A DICOM listener: images in by C-STORE, a bundle over each study, report, mask and picture onward.

`spool` says where a study stands, by the folder it lies in; `receive`, `measuring` and `forward` move it on, `service`
lets them work side by side, and `command` is its command line. Needs pynetdicom:
``pip install "fetal_monai[dicom]"``.
"""
