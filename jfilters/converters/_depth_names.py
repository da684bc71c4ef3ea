"""The vocabulary of depth: which place in a network the names of its parts speak of.

Roles that all libraries share, such as stem, encoder and head; no architecture is named.
"""

import dataclasses
import functools
import re

from ._names import parts

# Names sort alphabetically, which puts a stem after its blocks and a decoder before its encoder.
# What no word names comes in the middle.
_WORDS = (
    "stem first init initial embed embeds embedder embedding embeddings patchify in inc input"
    " intro pre",
    "backbone feature features extractor body trunk maxpool",
    "encoder enc encode down downs quant",
    "",
    "decoder dec decode up ups neck output",
    "fusion fuse downsamplers upsamplers",
    "head heads classifier final last tail post out outc pred predictor logits fc bbox cls reg"
    " score scores ctrness centerness",
    "aux auxiliary",
)
_PLACES = {word: place for place, words in enumerate(_WORDS) for word in words.split()}
_MIDDLE = _WORDS.index("")
_DECODER = _PLACES["decoder"]
_BOTTOM = {"center", "centre", "mid", "middle", "bottleneck", "bridge", "bottom"}
_ATTENTION = {"attn", "attention", "se", "eca", "cbam"}

# A number, or several, and the letter of "inception3a"; but "conv2d" is a word.
_NUMBER = re.compile(r"(?![_-]?[123]d$)[_-]?\d+(?:[_-]\d+)*[a-z]?$")
_LONGEST = 128  # characters of a component that speaks of anything

_PARTS = 4096  # components that are remembered: most names share theirs


@dataclasses.dataclass(frozen=True, slots=True)
class Component:
    """The meaning of one component of a name.

    - `place`: where among its siblings it belongs, from stems to heads.
    - `family`: the component without the number that tells it from its like: "layer" for "layer1".
    - `number`: the one number that it ends in; None if it has none, several, or a letter.
    - `key`: sorts by number, conv_2 before conv_10, and is equal only for equal components.
    - `downsamples`: makes its input smaller for the blocks beside it.
    - `decodes`: lies on the way up, where channels decline.
    """

    place: tuple[int, ...]
    family: str
    number: int | None
    key: tuple
    downsamples: bool
    decodes: bool


@functools.lru_cache(maxsize=_PARTS)
def component(part: str) -> Component:
    """The meaning of a component, in lower case, of a name."""
    if len(part) > _LONGEST:
        return Component((_MIDDLE,), part, None, (True, ((1, part),), part), False, False)
    words = re.findall(r"[a-z]+", part)
    # The "post" of "post_quant_conv" is about an encoder.
    roles = ["quant"] if "quant" in words else words
    places = tuple(_PLACES[word] for word in roles if word in _PLACES)
    match = _NUMBER.search(part)
    is_upward = part.startswith(("up", "dec"))
    family = part[: match.start()] if match else part
    digits = part[len(family) :].strip("_-")
    return Component(
        # Only stages are numbered: a block may end or begin with one layer that is called "upsample".
        places or ((_DECODER,) if is_upward and match else (_MIDDLE,)),
        family,
        int(digits) if digits.isdecimal() else None,
        _natural_key(part, words),
        "downsampl" in part,
        is_upward or places[:1] == (_DECODER,),
    )


def natural_key(name: str) -> tuple:
    """A sort key for a whole name."""
    return tuple((component(p).place, component(p).key) for p in parts(name.lower()))


def is_embedding(part: str) -> bool:
    """True if a component embeds patches, of an image or of the stage before."""
    return "embed" in part


def _natural_key(part: str, words: list[str]) -> tuple:
    # The bottom of a network comes before what lies beside it, attention behind what it weighs.
    text = "conv~" if part in _ATTENTION else part
    # (0, number) sorts before (1, text), so that mixed tokens always compare.
    tokens = tuple(
        (0, int(token)) if token.isdecimal() else (1, token)
        for token in re.split(r"(\d+)", text)
        if token
    )
    return _BOTTOM.isdisjoint(words), tokens, part
