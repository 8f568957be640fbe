"""Manifests: datasets without pictures, which say what samples there are. Standard library alone.

A manifest has N samples, numbered from 0, perhaps with labels, names (URIs), domains and thumbnails. It comes as two files,
which PROTOCOL.md describes byte by byte: the manifest, known by its SHA-256, and, where its samples have names, the names
file. The same samples make the same bytes here and in `steppe dataset import --manifest`."""
import hashlib
import json
import operator
import os
import sys
from array import array
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

from . import wire
from .client import Client
from .errors import SteppeError

PIECE_BYTES = 8 << 20
COMMIT_S = 600.0           # the server hashes and checks the whole file
SAMPLES_MAX = 1 << 28
CLASSES_MAX = 65535
DOMAINS_MAX = 1000
NAME_BYTES_MAX = 128       # of a class or a domain, in UTF-8
URI_BYTES_MAX = 512        # of a sample's name, in UTF-8
THUMBNAIL_SIDE_MAX = 64    # pixels
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".ppm", ".bmp", ".pgm", ".tif", ".tiff")
JUNK = ("thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found")

Bytes = Union[bytes, bytearray, memoryview]
Path = Union[str, bytes, "os.PathLike[str]"]
Shape = Tuple[int, ...]
Tensor = Tuple[str, str, List[int], bytes]  # name, dtype, shape, data


class Manifest(NamedTuple):
    """The files of a manifest.

    data          the manifest, for dataset.put and dataset.commit
    sha256        its SHA-256, 64 hex digits: the identity of the dataset
    names         the names file, for dataset.put and dataset.name; None: the samples have no names
    names_sha256  its SHA-256, 64 hex digits, or None
    samples       N
    """
    data: bytes
    sha256: str
    names: Optional[bytes]
    names_sha256: Optional[str]
    samples: int


def build(labels: Optional[Sequence[int]] = None, uris: Optional[Sequence[Path]] = None,
          classes: Optional[Sequence[str]] = None, *, samples: Optional[int] = None,
          domains: Optional[Sequence[int]] = None, domain_names: Optional[Sequence[str]] = None,
          thumbnails: Union[None, Bytes, Iterable[Bytes]] = None, thumbnail_shape: Optional[Shape] = None,
          test_labels: Sequence[int] = (), test_uris: Sequence[Path] = (), source: str = "manifest") -> Manifest:
    """A manifest of N samples. N is as long as what is given; where that is nothing, it is `samples`.

    labels           [N] class of each sample, from 0; None: there are none
    uris             [N] name of each sample: a path or a URI of 1 to 512 bytes, no two the same
    classes          [K] name of each class; None: "0", "1", .. up to the largest label
    domains          [N] domain of each sample, an index of domain_names
    thumbnails       uint8 pixels [N, h, w] (grey) or [N, h, w, 3] (RGB), row after row: one buffer, or N of them
    thumbnail_shape  (h, w) or (h, w, 1) or (h, w, 3) in pixels, each side 1 to 64
    test_labels      [M] labels of the test samples, test_uris [M] their names; they have numbers of their own, from 0
    source           a line on the origin. It is part of the identity

    ValueError: one sentence that names what is wrong. The same input gives the same bytes."""
    n = _count(samples, labels=labels, uris=uris, domains=domains)
    m = _count(len(test_labels) or len(test_uris), test_labels=test_labels or None, test_uris=test_uris or None)
    if n < 1 or n > SAMPLES_MAX or m > SAMPLES_MAX:
        raise ValueError("a manifest of %d + %d samples, allowed is 1 to %d" % (n, m, SAMPLES_MAX))
    if labels is None and (classes is not None or len(test_labels)):
        raise ValueError("there are %s, but no labels" % ("classes" if classes is not None else "test_labels"))
    if labels is not None and m and not len(test_labels):
        raise ValueError("there are labels and test_uris, but no test_labels")
    if (domains is None) != (domain_names is None):
        raise ValueError("domains and domain_names go together")
    meta = {"format": "steppe-manifest-1"}
    count = 1
    if labels is not None:
        labels = _whole("labels", labels)
        if classes is None:
            classes = [str(i) for i in range(1 + max(max(labels), 0))]
        count = len(classes)
        meta.update(classes=str(count), class_names=_names("class", classes))
    columns: List[Tensor] = [
        ("labels", "U16", [n], _numbers("labels", labels, n, count, "classes")),
        ("test_labels", "U16", [m], _numbers("test_labels", test_labels if len(test_labels) else None, m, count, "classes"))]
    if domains is not None and domain_names is not None:
        meta["domain_names"] = _names("domain", domain_names)
        columns.append(("domains", "U16", [n], _numbers("domains", domains, n, len(domain_names), "domains")))
    if thumbnails is not None:
        columns.append(_thumbnails(thumbnails, thumbnail_shape, n))
    splits = [_uris("uris", uris), _uris("test_uris", test_uris)] if uris is not None else None
    if splits is not None:
        if len(test_uris) != m:
            raise ValueError("there are %d test samples, but %d test_uris" % (m, len(test_uris)))
        meta["uris_sha256"] = hashlib.sha256(b"".join(uri + b"\0" for split in splits for uri in split)).hexdigest()
    meta["source"] = _line("source", source, 255)
    data = _file(meta, columns)
    sha256 = hashlib.sha256(data).hexdigest()
    names = _names_file(sha256, splits) if splits is not None else None
    return Manifest(data, sha256, names, hashlib.sha256(names).hexdigest() if names else None, n)


def from_image_folder(root: Path, train: Optional[str] = None, test: Optional[str] = None, *,
                      thumbnails: Union[None, Bytes, Iterable[Bytes]] = None,
                      thumbnail_shape: Optional[Shape] = None) -> Manifest:
    """The pictures CLASS/FILE below root, in the order of torchvision's ImageFolder: sample 17 is its samples[17]. No
    picture is opened. A name is the path below root.

    train, test      folders in root with the training and the test pictures; None: root has the training pictures, and
                     there are no test pictures
    thumbnails       as of build, in the same order

    ValueError: what does not fit a class folder, by name. OSError: what cannot be read."""
    top = os.fsencode(os.fspath(root))
    below = b"" if train is None else os.fsencode(train)
    classes = _folders(top, below)
    labels, uris = _pictures(top, below, classes, classes)
    test_labels: List[int] = []
    test_uris: List[bytes] = []
    if test is not None:
        test_labels, test_uris = _pictures(top, os.fsencode(test), _folders(top, os.fsencode(test)), classes)
    shown = [_shown(c) for c in classes]
    return build(labels, uris, shown, thumbnails=thumbnails, thumbnail_shape=thumbnail_shape, test_labels=test_labels,
                 test_uris=test_uris)


def put(client: Client, name: str, made: Manifest) -> Dict[str, Any]:
    """Sends a manifest, as the dataset `name`, and returns its row as PROTOCOL.md has it. Again after an interruption, it goes
    on where it ended; what the server has already is not sent. SteppeError: the server's sentence."""
    _send(client, made.data, made.sha256, "dataset " + name, {"name": name})
    row: Dict[str, Any] = client.request("dataset.commit", {"name": name, "sha256": made.sha256}, None, COMMIT_S).fields["dataset"]
    if made.names is None or made.names_sha256 is None:
        return row
    ask = {"name": name, "sha256": made.names_sha256}
    try:
        return dict(client.request("dataset.name", ask, None, COMMIT_S).fields["dataset"])
    except SteppeError as error:
        if error.code != "not_found":
            raise
    _send(client, made.names, made.names_sha256, "names of " + name, {})
    return dict(client.request("dataset.name", ask, None, COMMIT_S).fields["dataset"])


def uri_of(path: Path) -> bytes:
    """The name of a sample, in UTF-8: the path itself, but byte b of what is not UTF-8 is the character U+EF00 + b, and so
    are the bytes of those characters. ValueError: it is empty, longer than 512 bytes or has a zero byte."""
    text = os.fsencode(os.fspath(path)).decode("utf-8", "surrogateescape")
    if any(_escaped(c) for c in text):
        text = "".join("".join(chr(0xef00 + b) for b in c.encode("utf-8", "surrogateescape")) if _escaped(c) else c for c in text)
    uri = text.encode()
    if not 1 <= len(uri) <= URI_BYTES_MAX or b"\0" in uri:
        raise ValueError("the name of a sample has %d bytes, allowed is 1 to %d without a zero byte: %.80r" %
                         (len(uri), URI_BYTES_MAX, path))
    return uri


def _escaped(char: str) -> bool:
    return 0xdc80 <= ord(char) <= 0xdcff or 0xef80 <= ord(char) <= 0xefff


# --- what is given, judged ---

def _count(samples: Optional[int], **columns: Optional[Sequence[Any]]) -> int:
    n = samples
    first = "samples"
    for name, column in columns.items():
        if column is None:
            continue
        if n is not None and len(column) != n:
            raise ValueError("%s has %d entries, but there are %d %s" % (name, len(column), n, first))
        n, first = len(column), name
    if n is None:
        raise ValueError("how many samples there are is not said: give labels, uris, domains or samples")
    return n


def _line(what: str, text: str, most: int) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) > most or _shown(raw) != text:
        raise ValueError("%s is not a line of up to %d bytes that can be shown: %.60r" % (what, most, text))
    return text


def _names(what: str, names: Sequence[str]) -> str:
    most = DOMAINS_MAX if what == "domain" else CLASSES_MAX
    if not 1 <= len(names) <= most:
        raise ValueError("there are %d %s names, allowed is 1 to %d" % (len(names), what, most))
    seen: Dict[str, int] = {}
    for i, name in enumerate(names):
        _line("the name of %s %d" % (what, i), name, NAME_BYTES_MAX)
        if name in seen:
            raise ValueError("%s %d is called %r, as %d is" % (what, i, name, seen[name]))
        seen[name] = i
    return json.dumps(list(names), ensure_ascii=False, separators=(",", ":"))


def _whole(name: str, values: Sequence[int]) -> List[int]:
    whole: List[int] = []
    try:
        whole.extend(map(operator.index, values))  # keeps those before the one that is none
    except TypeError:
        raise ValueError("%s[%d] is %r, allowed is a whole number" % (name, len(whole), values[len(whole)])) from None
    return whole


def _numbers(name: str, values: Optional[Sequence[int]], n: int, count: int, what: str) -> bytes:
    """[n] as little-endian U16; zeros without values."""
    if values is None:
        return bytes(2 * n)
    values = _whole(name, values)
    if n and not (0 <= min(values) and max(values) < count):
        i = next(i for i, v in enumerate(values) if not 0 <= v < count)
        raise ValueError("%s[%d] is %d, allowed is 0 to %d (%d %s)" % (name, i, values[i], count - 1, count, what))
    column = array("H", values)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _thumbnails(thumbnails: Union[Bytes, Iterable[Bytes]], shape: Optional[Shape], n: int) -> Tensor:
    sides = tuple(shape or ()) + (1,) * (len(shape or ()) == 2)
    if len(sides) != 3 or not all(1 <= s <= THUMBNAIL_SIDE_MAX for s in sides[:2]) or sides[2] not in (1, 3):
        raise ValueError("thumbnail_shape is %r, allowed is (h, w), (h, w, 1) or (h, w, 3) of 1 to %d pixels a side" %
                         (shape, THUMBNAIL_SIDE_MAX))
    size = sides[0] * sides[1] * sides[2]
    if isinstance(thumbnails, (bytes, bytearray, memoryview)):
        pixels = bytes(thumbnails)
    else:
        parts = [bytes(t) for t in thumbnails]
        for i, part in enumerate(parts):
            if len(part) != size:
                raise ValueError("thumbnail %d has %d bytes, %s has %d" % (i, len(part), "x".join(map(str, sides)), size))
        pixels = b"".join(parts)
    if len(pixels) != n * size:
        raise ValueError("thumbnails has %d bytes, but %d of %s have %d" % (len(pixels), n, "x".join(map(str, sides)), n * size))
    return "thumbnails", "U8", [n, *sides], pixels


def _uris(what: str, uris: Sequence[Path]) -> List[bytes]:
    out = [uri_of(uri) for uri in uris]
    if len(set(out)) != len(out):
        seen: Dict[bytes, int] = {}
        for i, uri in enumerate(out):
            if uri in seen:
                raise ValueError("%s[%d] is %.80r, as %s[%d] is" % (what, i, uris[i], what, seen[uri]))
            seen[uri] = i
    return out


# --- the files ---

def _send(client: Client, data: bytes, sha256: str, what: str, offer: Dict[str, str]) -> None:
    fields = {"sha256": sha256, "bytes": len(data), "what": what[:63]}
    have = client.request("dataset.offer", {**fields, **offer}).fields["have"]
    while have < len(data):
        piece = wire.Tensor("U8", data[have:have + PIECE_BYTES])
        have = client.request("dataset.put", {**fields, "offset": have}, {"piece": piece}).fields["have"]


def _file(meta: Dict[str, str], tensors: List[Tensor]) -> bytes:
    """A safetensors file: length of the header (u64), the header, padded with spaces to 64 bytes, the tensors."""
    header: Dict[str, Any] = {"__metadata__": meta}
    at = 0
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return b"".join([len(text).to_bytes(8, "little"), text] + [data for _, _, _, data in tensors])


def _names_file(sha256: str, splits: List[List[bytes]]) -> bytes:
    tensors: List[Tensor] = []
    for prefix, split in zip(("", "test_"), splits):
        ends, at = array("Q"), 0
        for uri in split:
            at += len(uri)
            ends.append(at)
        if sys.byteorder == "big":
            ends.byteswap()
        tensors.append((prefix + "ends", "U64", [len(split)], ends.tobytes()))
        tensors.append((prefix + "bytes", "U8", [at], b"".join(split)))
    return _file({"format": "steppe-names-1", "dataset": sha256}, tensors)


# --- folders ---

def _shown(name: bytes) -> str:
    """As people may see it: '?' for what is not UTF-8, and for characters that steer a terminal."""
    text = name.decode("utf-8", "surrogateescape")
    ranges = ((0, 0x1f), (0x7f, 0x9f), (0x61c, 0x61c), (0x200e, 0x200f), (0x2028, 0x202e), (0x2066, 0x2069), (0xd800, 0xdfff))
    return "".join("?" if any(a <= ord(c) <= b for a, b in ranges) else c for c in text)


def _entries(folder: bytes) -> List[Tuple[bytes, bool]]:
    """(name, is it a folder) of all but what systems leave, sorted bytewise."""
    with os.scandir(folder) as found:
        return sorted((e.name, e.is_dir()) for e in found
                      if not e.name.startswith(b".") and os.fsdecode(e.name).lower() not in JUNK)


def _is_picture(name: bytes) -> bool:
    return os.fsdecode(name).lower().endswith(ENDINGS)


def _folders(top: bytes, below: bytes) -> List[bytes]:
    classes = []
    for name, folder in _entries(os.path.join(top, below)):
        if folder:
            classes.append(name)
        elif _is_picture(name):
            raise ValueError("%s is not in a class folder" % os.fsdecode(os.path.join(top, below, name)))
    if not classes:
        raise ValueError("%s has no class folders" % os.fsdecode(os.path.join(top, below)))
    return classes


def _pictures(top: bytes, below: bytes, folders: List[bytes], classes: List[bytes]) -> Tuple[List[int], List[bytes]]:
    labels, uris = [], []
    for name in folders:
        folder = os.path.join(top, below, name)
        if name not in classes:
            raise ValueError("%s is not a class of the training pictures" % os.fsdecode(folder))
        label, files = classes.index(name), _entries(folder)
        if not files:
            raise ValueError("%s is empty, expected pictures in each class folder" % os.fsdecode(folder))
        for file, is_folder in files:
            if is_folder or not _is_picture(file):
                raise ValueError("%s is %s, allowed are %s files" % (os.fsdecode(os.path.join(folder, file)),
                                 "a folder in a class folder" if is_folder else "no picture", ", ".join(ENDINGS)))
            labels.append(label)
            uris.append(os.path.join(below, name, file))
    return labels, uris
