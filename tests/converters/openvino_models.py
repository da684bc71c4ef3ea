"""A writer of OpenVINO models, independent of the reader."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

ELEMENTS = {
    "float64": "f64",
    "float32": "f32",
    "float16": "f16",
    "int8": "i8",
    "uint8": "u8",
    "int64": "i64",
}


@dataclasses.dataclass
class Model:
    """A network in the making: layers, edges, and the bytes of its constants."""

    layers: list[str] = dataclasses.field(default_factory=list)
    edges: list[str] = dataclasses.field(default_factory=list)
    data: bytes = b""

    def add(
        self,
        kind: str,
        reads: Sequence[int] = (),
        extent: Sequence[int] = (),
        inner: str = "",
        **data: object,
    ) -> int:
        """Append a layer; returns its number."""
        number = len(self.layers)
        attributes = "".join(f' {key}="{value}"' for key, value in data.items())
        axes = "".join(f"<dim>{axis}</dim>" for axis in extent)
        self.layers.append(
            f'<layer id="{number}" name="{kind}{number}" type="{kind}" version="opset1">'
            f"<data{attributes}/>{inner}"
            f'<output><port id="{len(reads)}">{axes}</port></output></layer>'
        )
        for port, source in enumerate(reads):
            self.edges.append(
                f'<edge from-layer="{source}" from-port="0" to-layer="{number}" to-port="{port}"/>'
            )
        return number

    def const(self, values: npt.ArrayLike, element: str = "", packed: bytes = b"") -> int:
        """Append a constant, of the element type of its dtype unless it is packed."""
        values = np.asarray(values)
        data = packed or values.tobytes()
        shape = ",".join(map(str, values.shape))
        element = element or ELEMENTS[values.dtype.name]
        place = {"offset": len(self.data), "size": len(data)}
        self.data += data
        return self.add("Const", (), values.shape, element_type=element, shape=shape, **place)

    def conv(self, image: int, weight: int, kind: str = "Convolution", **data: object) -> int:
        """Append a convolution."""
        return self.add(kind, [image, weight], **data)

    def text(self, version: int = 11) -> str:
        """The description."""
        layers, edges = "".join(self.layers), "".join(self.edges)
        net = f"<layers>{layers}</layers><edges>{edges}</edges>"
        return f'<?xml version="1.0"?>\n<net name="n" version="{version}">{net}</net>\n'

    def body(self) -> str:
        """The network as the body of a loop or a branch."""
        return f"<layers>{''.join(self.layers)}</layers><edges>{''.join(self.edges)}</edges>"

    def save(self, folder: Path, name: str = "model") -> Path:
        """Write both files; returns the path of the description."""
        (folder / f"{name}.bin").write_bytes(self.data)
        path = folder / f"{name}.xml"
        path.write_text(self.text())
        return path


def network() -> tuple[Model, int]:
    """An empty network and the number of its input."""
    model = Model()
    return model, model.add("Parameter")
