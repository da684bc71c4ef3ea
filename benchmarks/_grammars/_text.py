"""Texts: the XML of OpenVINO, the lines of ncnn and Darknet, and rows of plain 4-byte numbers."""

import random
import re
import struct

NUMBERS = (
    *("0", "1", "-1", "2", "3", "255", "65536", "2147483647", "-2147483648", "4294967296"),
    *("9" * 30, "1e9", "0.5", "nan", "-0", "", "x", "1,2,3", "0x10", "٣"),
)
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
_ELEMENT = re.compile(r"<(layer|edge|dim|port|data)\b[^>]*?(?:/>|>.*?</\1>)", re.DOTALL)
_TOKEN = re.compile(r"[^\s=,]+")
_WORDS = (0, 1, -1, 2, 3, -233, -23300, -23310, (1 << 31) - 1, -(1 << 31), 255, 1 << 20)


def is_xml(data: bytes) -> bool:
    """Whether an element or a declaration comes first."""
    return data.lstrip()[:1] == b"<"


def mutate_xml(data: bytes, rng: random.Random) -> bytes:
    """Another value of an attribute, or an element twice, elsewhere or gone; the text stays well-formed."""
    text = data.decode()
    for _ in range(1 + int(rng.expovariate(0.7))):
        text = rng.choice(XML_MUTATIONS)(text, rng)
    return text.encode("utf-8", "surrogatepass")


def _set_attribute(text: str, rng: random.Random) -> str:
    if not (places := list(_ATTRIBUTE.finditer(text))):
        return text
    place, values = rng.choice(places), [place[2] for place in places]
    own = place[2].split(",")
    changed = ",".join(rng.choice(NUMBERS) if rng.random() < 0.4 else x for x in own)
    value = rng.choice(
        (changed, changed, rng.choice(NUMBERS), rng.choice(values), ",".join(own * 50))
    )
    return text[: place.start(2)] + value + text[place.end(2) :]


def _drop_attribute(text: str, rng: random.Random) -> str:
    places = list(_ATTRIBUTE.finditer(text))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.start()] + text[place.end() :]


def _copy_element(text: str, rng: random.Random) -> str:
    places = list(_ELEMENT.finditer(text))
    if not places:
        return text
    place, target = rng.choice(places), rng.choice(places)
    times = rng.choice((1, 1, 1, 30))
    return text[: target.start()] + place[0] * times + text[target.start() :]


def _drop_element(text: str, rng: random.Random) -> str:
    places = list(_ELEMENT.finditer(text))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.start()] + text[place.end() :]


def _wrap_element(text: str, rng: random.Random) -> str:
    places = list(_ELEMENT.finditer(text))
    if not places:
        return text
    place, name = rng.choice(places), rng.choice(("layers", "x", "body", "net"))
    depth = rng.choice((1, 20, 1500))
    wrapped = f"<{name}>" * depth + place[0] + f"</{name}>" * depth
    return text[: place.start()] + wrapped + text[place.end() :]


def _declare(text: str, rng: random.Random) -> str:
    entity = '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    outside = '<!ENTITY b SYSTEM "file:///etc/hostname">'
    declared = f"<!DOCTYPE net [{rng.choice((entity, outside))}]>"
    head, _, rest = text.partition("?>")
    return f"{head}?>{declared}{rest.replace(chr(34) + 'n' + chr(34), '&b;', 1)}"


def mutate_lines(data: bytes, rng: random.Random) -> bytes:
    """Lines of words and numbers, of which some change, move, come twice or go."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    counts = len(lines) > 1 and re.fullmatch(r"\d+ \d+", lines[1].strip())
    for _ in range(1 + int(rng.expovariate(0.7))):
        rng.choice(LINE_MUTATIONS)(lines, rng)
    if counts and rng.random() < 0.6:  # ncnn counts its layers and blobs
        n = sum(len(line.split()) >= 4 for line in lines[2:])
        lines[1:2] = [f"{n} {lines[1].split()[-1] if lines[1].split() else 5}"]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _change_token(lines: list[str], rng: random.Random) -> None:
    at = rng.randrange(len(lines))
    if places := list(_TOKEN.finditer(lines[at])):
        place = rng.choice(places)
        words = [word for line in lines for word in _TOKEN.findall(line)]
        word = rng.choice((*NUMBERS, rng.choice(words), rng.choice(words), "a" * 3000))
        lines[at] = lines[at][: place.start()] + word + lines[at][place.end() :]


def _add_option(lines: list[str], rng: random.Random) -> None:
    at = rng.randrange(len(lines))
    key = rng.choice(
        (str(rng.randrange(25)), f"-{23300 + rng.randrange(25)}", "groups", "size", "filters")
    )
    option = f"{key}={rng.choice(NUMBERS)}"
    if "=" in lines[at] and " " not in lines[at]:
        lines.insert(at, option)
    else:
        lines[at] += f" {option}"


def _copy_line(lines: list[str], rng: random.Random) -> None:
    at = rng.randrange(len(lines))
    lines[at:at] = [rng.choice(lines)] * rng.choice((1, 1, 3, 400))


def _drop_line(lines: list[str], rng: random.Random) -> None:
    if len(lines) > 1:
        del lines[rng.randrange(len(lines))]


def _swap_lines(lines: list[str], rng: random.Random) -> None:
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]


def mutate_words(data: bytes, rng: random.Random) -> bytes:
    """Numbers of four bytes: some change, move, come twice or go."""
    count = len(data) // 4
    words = list(struct.unpack_from(f"<{count}i", data))
    for _ in range(1 + int(rng.expovariate(0.7))):
        at, kind = rng.randrange(len(words) + 1), rng.randrange(4)
        if kind == 0:
            words[at : at + 1] = [rng.choice(_WORDS)]
        elif kind == 1:
            words.insert(at, rng.choice(_WORDS))
        elif kind == 2:
            del words[at : at + rng.choice((1, 1, 8))]
        else:
            words[at:at] = words[at : at + rng.choice((1, 8))] * rng.choice((1, 50))
    return struct.pack(f"<{len(words)}i", *words) + data[4 * count :]


XML_MUTATIONS = (
    *(_set_attribute, _set_attribute, _set_attribute, _drop_attribute, _copy_element),
    *(_drop_element, _wrap_element, _declare),
)
LINE_MUTATIONS = (
    _change_token,
    _change_token,
    _change_token,
    _add_option,
    _copy_line,
    _drop_line,
    _swap_lines,
)
