"""Pictures as files have them, to arrays and back, by Pillow: what ``mx.image`` and records share.

Pillow is imported when something is decoded or encoded for the first time.
"""

import io
import struct
import zlib

import numpy as np

from .base import MXNetError

__all__: list = []


def pillow():
    """Pillow's module Image; an ImportError that says what to install where it is missing."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "decoding and encoding pictures needs Pillow: pip install mxtape[image]"
        ) from error
    return Image


def _bytes(buf):
    """What is to be decoded, as bytes or a view of them."""
    if isinstance(buf, (bytes, bytearray, memoryview)):
        return buf
    if hasattr(buf, "asnumpy"):
        buf = buf.asnumpy()
    if isinstance(buf, np.ndarray) and buf.dtype == np.uint8:
        return np.ascontiguousarray(buf).data
    raise TypeError(
        f"a picture is decoded from bytes, or an array of uint8; got {type(buf).__name__}"
    )


# What Pillow raises about bytes that are no picture, or a damaged one.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, zlib.error)


def _opened(buf, gray):
    Image = pillow()
    image = Image.open(io.BytesIO(buf))
    if gray and image.format == "JPEG":
        # The brightness that the file has, not one that is computed from colours.
        image.draft("L", image.size)
    image.load()
    return image


def _converted(image, mode):
    if image.mode == mode:
        return np.asarray(image)
    if image.mode.startswith("I"):
        # 16 bits of gray: the higher byte.
        high = (np.asarray(image) >> 8).astype(np.uint8)
        return high if mode == "L" else np.repeat(high[:, :, None], 3, axis=2)
    if mode == "L" and image.mode not in ("1", "L", "LA"):
        pixels = np.asarray(image.convert("RGB"))
        return _gray_of_png(pixels) if image.format == "PNG" else _gray(pixels)
    return np.asarray(image.convert(mode))


def _gray(pixels):
    """Brightness, rounded as OpenCV does."""
    weights = np.array([4899, 9617, 1868], np.int32)
    return ((pixels.astype(np.int32) @ weights + (1 << 13)) >> 14).astype(np.uint8)


def _gray_of_png(pixels):
    """Brightness, rounded down as libpng does."""
    weights = np.array([9797, 19234, 3737], np.int32)
    return (pixels.astype(np.int32) @ weights >> 15).astype(np.uint8)


def _unchanged(image):
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    if image.mode in ("L", "RGB", "RGBA"):
        return np.asarray(image)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    opaque = image.mode not in ("LA", "PA") and "transparency" not in image.info
    return np.asarray(image.convert("RGB" if opaque else "RGBA"))


def decode(buf, flag, to_rgb, what="image"):
    """An array of the picture in `buf`.

    `flag` is 1 for three channels, 0 for gray, of shape (height, width), and -1 for what is there.
    Colours are in the order red, green, blue if `to_rgb`, else the other way round.
    """
    if flag not in (1, 0, -1):
        raise MXNetError(f"{what}: flag is 1 (colours), 0 (gray) or -1 (unchanged); got {flag!r}")
    buf = _bytes(buf)
    Image = pillow()
    try:
        image = _opened(buf, gray=flag == 0)
        pixels = _unchanged(image) if flag == -1 else _converted(image, "RGB" if flag else "L")
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise MXNetError(f"{what}: {len(buf)} bytes could not be decoded: {error}") from error
    if not to_rgb and pixels.ndim == 3:
        pixels = pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels


def encode(img, suffix, quality):
    """The bytes of a file of a picture in OpenCV's order: blue, green, red."""
    Image = pillow()
    if hasattr(img, "asnumpy"):
        img = img.asnumpy()
    pixels = np.asarray(img)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    channels = pixels.shape[2:] or (1,)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels[0] not in (1, 3, 4):
        raise MXNetError(
            "pack_img: a picture is uint8 of shape (height, width), or (height, width, 1, 3 or 4); "
            f"got {pixels.dtype} of shape {np.shape(img)}"
        )
    if pixels.ndim == 3:
        pixels = pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
    form = Image.registered_extensions().get(str(suffix).lower())
    if form is None:
        raise MXNetError(f"pack_img: {suffix!r} is no suffix of pictures that Pillow writes")
    options = {}
    if form == "JPEG":
        options = {"quality": min(max(int(quality), 0), 100)}
        if pixels.ndim == 3:
            pixels = pixels[:, :, :3]
    elif form == "PNG":
        options = {"compress_level": min(max(int(quality), 0), 9)}
    file = io.BytesIO()
    try:
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, format=form, **options)
    except (OSError, ValueError, KeyError) as error:
        raise MXNetError(f"pack_img: the picture cannot be written as {suffix}: {error}") from error
    return file.getvalue()
