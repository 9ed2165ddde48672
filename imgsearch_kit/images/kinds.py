"""What a file's name and first bytes say of its content: which picture, another kind, or nothing."""

from __future__ import annotations

import re
from pathlib import PurePath

PICTURES = "pictures"
OTHER_FILES = "other files"
UNREADABLE_FILES = "unreadable files of no known extension"
SPECIAL_FILES = "pipes, sockets and devices"

_ENDINGS = {
    PICTURES: "jpg jpeg jpe jfif png webp gif bmp dib tif tiff avif heic heif",
    "camera RAW pictures": "3fr arw cr2 cr3 crw dcr dng erf iiq k25 kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl "
    "sr2 srf srw x3f",
    "Photoshop documents": "psd psb",
    "SVG drawings": "svg svgz",
    "PDF documents": "pdf",
    "PostScript drawings": "eps ps ai",
    "videos": "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv vob webm wmv",
    "pictures of other formats": "cur dcm dds exr fits hdr icns ico j2k jp2 jpf jpx jxl nii pbm pcx pgm pnm ppm sgi "
    "tga wdp wmf xbm xcf xpm",
    # Their like comes in tens of thousands beside pictures. Files of databases must not be opened: on POSIX systems,
    # closing one releases the locks that SQLite holds on it in this process.
    OTHER_FILES: "7z aac arrow bak bat bin bz2 c cfg ckpt conf cpp crdownload css csv db db3 dll doc docx exe flac gz "
    "h h5 hdf5 html ini ipynb jar java joblib js json jsonl keras lock log m4a mat md mdb mp3 npy npz odt ogg onnx "
    "parquet part partial pb pck pickle pkl ppt pptx pt pth py pyc pyd r rar rst rtf s so sh sql sqlite sqlite3 srt "
    "tar temp tfrecord tfrecords tgz thm tmp toml torrent ts tsv txt url vtt wav xls xlsx xmp xml xz yaml yml zip zst",
}
_KIND = {f".{ending}": kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
_OF_DATABASES = ("-wal", "-shm", "-journal")


_FIRST_BYTES = (
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"\x89PNG", "PNG"),
    (rb"RIFF....WEBP", "WEBP"),
    (rb"GIF8", "GIF"),
    (rb"BM....\0\0\0\0", "BMP"),
    (rb"II[*+]\0|MM\0[*+]", "TIFF"),
    (rb"....ftypavi[fs]", "AVIF"),
    (rb"....ftyp(hei|hev|mif1|msf1)", "HEIC"),
)


def format_of(data: bytes) -> str | None:
    """The name of the picture format that bytes begin as, or None."""
    return next((name for pattern, name in _FIRST_BYTES if re.match(pattern, data[:16], re.DOTALL)), None)


def kind_by_name(name: str) -> str | None:
    """The kind of a file by the extension of its name, a plural; None where that says nothing."""
    name = name.lower()
    return OTHER_FILES if name.endswith(_OF_DATABASES) else _KIND.get(PurePath(name).suffix)
