"""What shows a gallery to others without a server: a folder of plain files that any static host serves."""
