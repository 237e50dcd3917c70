"""Writes the fixtures beside it: what scikit-learn and Python make of texts and characters.

    pip install scikit-learn
    python make.py

texts.json     the texts, and the settings that they are vectorized with
digests.bin    FNV-1a of each vector's float32 bytes, uint32: a row of texts for each setting
vectors.bin    the vectors of the first texts with the first setting, float32
scalars.json   ranges of code points, first and last: \\w, \\s, cased, case-ignorable, changed by lower(), unassigned
lower.json     the characters that str.lower() changes, and into what
"""
import json, pathlib, random, re, sys, unicodedata
import numpy
from sklearn.feature_extraction.text import HashingVectorizer

HERE = pathlib.Path(__file__).parent
WHOLE = 40

def ranges(holds):
    found = []
    for code in range(0x110000):
        if 0xD800 <= code <= 0xDFFF or not holds(chr(code)):
            continue
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found

def final(text):
    return text.lower().endswith("\u03c2")

def scalars():
    word, space = re.compile(r"\w"), re.compile(r"\s")
    return {
        "unicode": unicodedata.unidata_version,
        "word": ranges(lambda c: word.match(c)),
        "space": ranges(lambda c: space.match(c)),
        # A sigma behind a cased character is final; one behind a character that is skipped, if the one before is.
        "cased": ranges(lambda c: final(c + "\u03a3")),
        "ignorable": ranges(lambda c: final("A" + c + "\u03a3") and not final(c + "\u03a3")),
        "unassigned": ranges(lambda c: unicodedata.category(c) == "Cn"),
    }

EDGES = [
    "", " ", "a", "a b c", "ab", "Ab aB AB", "the cat sat on the mat", "snake_case __ _ _a 1 12 a1",
    "\0", "a\0b", "ab\0cd", "\t\n ab  cd\r\n\n ef ", "don't stop", "e\u0301te\u0301 caf\u00e9 cafe\u0301",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 ok", "\u0130stanbul I\u0131 \u0130\u0130",
    "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3", "\u03a3 \u03a3\u03a3 \u03a3\u0391\u03a3. A\u03a3\u0301 A\u03a3\u0301B A.\u03a3",
    "A\u03a3'\u03a3 \u03a3' '\u03a3 \u02b0\u03a3 a\u02b0\u03a3 1\u03a3", "STRASSE Stra\u00dfe \u1e9e", "x" * 5000, "\u00e9" * 3001,
    "W" * 1000 + " " + "w" * 1000, "\u0660\u0661\u0662 \u096b\u096c \u00b2\u00b3 \u00bd\u00be \u2167\u2168 \u4e00\u4e8c",
    "\u00a0ab\u2003cd\u3000ef\u2028gh\x1cij\x1f\x85", "\u01c5\u01c8 \ufb01\ufb02 \u212a\u212b \u2126", "\U00010400\U00010401 \U0001d400\U0001d401",
    "\U000e0041ab \uffff\ufffd \U0010ffff", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0e0a\u0e32\u0e27", "\u0939\u093f\u0928\u094d\u0926\u0940",
]

BLOCKS = [
    (0x20, 0x7E), (0x41, 0x5A), (0x61, 0x7A), (0xA0, 0x24F), (0x250, 0x2FF), (0x370, 0x3FF), (0x400, 0x52F),
    (0x531, 0x587), (0x591, 0x5F4), (0x600, 0x6FF), (0x900, 0x97F), (0xE01, 0xE5B), (0x10A0, 0x10FF),
    (0x13A0, 0x13FD), (0x1C90, 0x1CBF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2100, 0x218B), (0x2460, 0x24FF),
    (0x2C00, 0x2DFF), (0x3040, 0x30FF), (0x4E00, 0x4FFF), (0xA640, 0xA7CA), (0xAC00, 0xAD00), (0xFF10, 0xFF5A),
    (0x10400, 0x1044F), (0x1D400, 0x1D7FF), (0x1F300, 0x1F64F), (0x1E900, 0x1E95F),
]

def text(random):
    pieces = []
    for _ in range(random.randint(1, 6)):
        first, last = random.choice(BLOCKS)
        word = "".join(chr(random.randint(first, last)) for _ in range(random.randint(1, 5)))
        pieces.append("".join(c for c in word if unicodedata.category(c) != "Cn"))
        if random.random() < 0.2:
            pieces.append(random.choice(["\u03a3", "A\u03a3", "\u03a3\u0301", "\u03b1\u03a3\u00ad", "a", "ab", "_", "\u0130"]))
        pieces.append(random.choice(["", " ", " ", " ", "  ", "\t", "\n\n", "-", ".", "\u3000", "'", "\u0301", "_"]))
    return "".join(pieces)

SETTINGS = [
    (100, "word", 1, 2, "l2"), (100, "word", 1, 1, "none"), (1, "word", 1, 3, "l1"), (1 << 10, "word", 2, 2, "l2"),
    (4096, "word", 3, 5, "l1"), (7, "char", 1, 1, "none"), (100, "char", 1, 3, "l2"), (1000, "char", 2, 5, "l1"),
    (256, "char_wb", 1, 2, "l2"), (300, "char_wb", 3, 4, "none"), (64, "char_wb", 5, 8, "l2"), (16, "char_wb", 2, 2, "l1"),
]

def fnv(data):
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value

def main():
    source = random.Random(11)
    texts = EDGES + [text(source) for _ in range(2000)]
    digests = []
    for setting in SETTINGS:
        dimensions, analyzer, low, high, norm = setting
        vectors = HashingVectorizer(
            n_features=dimensions, analyzer=analyzer, ngram_range=(low, high), norm=None if norm == "none" else norm,
        ).transform(texts)
        if setting is SETTINGS[0]:
            (HERE / "vectors.bin").write_bytes(vectors[:WHOLE].toarray().astype("<f4").tobytes())
        for row in range(len(texts)):
            # Adding 0 makes a zero of each negative zero; only numbers that are not zero are hashed, with places.
            dense = vectors[row].toarray()[0].astype("<f4") + numpy.float32(0)
            places = numpy.flatnonzero(dense)
            digests.append(fnv(places.astype("<u4").tobytes() + dense[places].tobytes()))
    (HERE / "digests.bin").write_bytes(numpy.array(digests, "<u4").tobytes())
    settings = [
        {"dimensions": d, "analyzer": a, "low": low, "high": high, "norm": n} for d, a, low, high, n in SETTINGS]
    (HERE / "texts.json").write_text(
        json.dumps({"whole": WHOLE, "settings": settings, "texts": texts}, ensure_ascii=False), encoding="utf-8")
    (HERE / "scalars.json").write_text(json.dumps(scalars(), separators=(",", ":")))
    changed = {f"{c:x}": [ord(x) for x in chr(c).lower()] for c in range(0x110000)
               if not 0xD800 <= c <= 0xDFFF and chr(c).lower() != chr(c)}
    (HERE / "lower.json").write_text(json.dumps(changed, separators=(",", ":")))
    print(f"{len(texts)} texts, Unicode {unicodedata.unidata_version}", file=sys.stderr)

main()
