"""Writes the OpenVINO files beside it with openvino 2026.4: run it as a module."""

from pathlib import Path

import openvino

from .networks import NETWORKS
from .torch_networks import network

HERE = Path(__file__).parent


def main() -> None:
    """Write every network in float32, and that of 2 axes in float16 too."""
    for name in NETWORKS:
        module, x = network(name)
        model = openvino.convert_model(module, example_input=x)
        openvino.save_model(model, HERE / f"{name}.xml", compress_to_fp16=False)
        if name == "two":
            openvino.save_model(model, HERE / "two-half.xml", compress_to_fp16=True)


if __name__ == "__main__":
    main()
