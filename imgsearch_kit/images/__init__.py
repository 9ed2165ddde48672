"""Files to pixels: find, decode, thumbnail. The only place that touches untrusted bytes."""

from imgsearch_kit.images.decoding import FORMATS, Hashed, Loaded, load, load_many, load_pixels
from imgsearch_kit.images.finding import Found, FoundImage, find_images
from imgsearch_kit.images.given import Picture, SeenPicture, picture_given
from imgsearch_kit.images.sharing import Shareable, shareable
from imgsearch_kit.images.thumbnails import PREVIEW, THUMBNAIL, thumbnail, thumbnail_bytes
from imgsearch_kit.records import MAX_PIXELS

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "PREVIEW",
    "THUMBNAIL",
    "Found",
    "FoundImage",
    "Hashed",
    "Loaded",
    "Picture",
    "SeenPicture",
    "Shareable",
    "find_images",
    "load",
    "load_many",
    "load_pixels",
    "picture_given",
    "shareable",
    "thumbnail",
    "thumbnail_bytes",
]
