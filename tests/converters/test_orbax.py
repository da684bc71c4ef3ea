"""Orbax checkpoints of every layout, saved on eight devices and read on one, or damaged."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jfilters.converters import _orbax, _orbax_layout, detect, open_checkpoint
from jfilters.errors import CheckpointError

SAVE = """
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import orbax.checkpoint.experimental.v1 as v1
from flax import nnx

root = Path(sys.argv[1])
mesh = jax.make_mesh((8,), ("x",))
sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, None, None, "x"))
stored = np.load(root / "expected.npz")
params = {
    f"Conv_{i}": {"kernel": jax.device_put(stored[f"kernel{i}"], sharding), "bias": jnp.zeros(16)}
    for i in range(2)
}
params["Conv_1"]["kernel"] = params["Conv_1"]["kernel"].astype(jnp.bfloat16)
opt_state = optax.adam(1e-3).init(params)
tree = {"params": params, "opt_state": opt_state, "step": 3, "none": None, "empty": {}}
full = dict(tree, rng=jax.random.split(jax.random.key(0), 6), note="text")

with ocp.StandardCheckpointer() as saver:
    saver.save(root / "standard", tree)
    saver.save(root / "optimizer", {"opt_state": opt_state, "step": 3})
    saver.save(root / "nnx", nnx.state(nnx.Conv(3, 4, (3, 3), rngs=nnx.Rngs(0))))
for ocdbt in (True, False):
    for zarr3 in (True, False):
        saver = ocp.PyTreeCheckpointer(use_ocdbt=ocdbt, use_zarr3=zarr3)
        saver.save(root / f"{'ocdbt' if ocdbt else 'plain'}-{'zarr3' if zarr3 else 'zarr'}", full)
v1.save(root / "v1", full)
with ocp.CheckpointManager(root / "manager") as manager:
    for step in (9, 10):
        manager.save(step, args=ocp.args.StandardSave(tree))
options = ocp.CheckpointManagerOptions(step_prefix="run", step_format_fixed_length=4)
with ocp.CheckpointManager(root / "composite", options=options) as manager:
    items = {"params": ocp.args.StandardSave(params), "ema": ocp.args.PyTreeSave(params)}
    manager.save(1, args=ocp.args.Composite(**items, meta=ocp.args.JsonSave({"a": 1})))
"""

LAYOUTS = (
    "standard", "ocdbt-zarr", "ocdbt-zarr3", "plain-zarr", "plain-zarr3", "v1", "manager/10",
    "manager/10/default",
)  # fmt: skip
KERNEL = "params.Conv_0.kernel"


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Path:
    """A folder with a checkpoint of every layout, its arrays sharded over eight devices."""
    root = tmp_path_factory.mktemp("orbax")
    rng = np.random.default_rng(0)
    kernels = {f"kernel{i}": rng.normal(size=(3, 3, 16, 16)).astype("float32") for i in range(2)}
    np.savez(root / "expected.npz", **kernels)
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "ignore", "-c", SAVE, str(root)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | flags, timeout=300)
    return root


@pytest.fixture
def broken(saved, tmp_path):
    """A function that copies a checkpoint, to be damaged."""
    return lambda layout: Path(shutil.copytree(saved / layout, tmp_path / Path(layout).name))


def by_name(path: Path) -> dict:
    return {array.name: array for array in _orbax.arrays(path)}


@pytest.mark.parametrize("layout", ["standard", "plain-zarr", "manager/10"])
def test_any_path_that_leads_there_reads(saved, tmp_path, monkeypatch, layout):
    whole = by_name(saved / layout)[KERNEL].read()
    (tmp_path / "link").symlink_to(saved / layout)
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "parent").symlink_to((saved / layout).parent)
    name = Path(layout).name
    monkeypatch.chdir(saved / layout)
    for path in (
        f"{saved}/manager/../{layout}",
        f"{saved}/./{layout}/",
        f"{tmp_path}/link",
        f"{tmp_path}/far/parent/{name}",
        f"{tmp_path}/far/parent/{name}/../{name}",
        ".",
        f"../{name}",
    ):
        np.testing.assert_array_equal(by_name(Path(path))[KERNEL].read(), whole)


def test_the_name_that_a_path_leads_to_tells_that_a_save_did_not_end(broken):
    path = broken("standard")
    unfinished = path.rename(path.with_name(f"1{_orbax_layout.UNFINISHED}"))
    with pytest.raises(CheckpointError, match=r"unfinished: .* is temporary"):
        open_checkpoint(unfinished / "d" / "..")


def test_a_folder_of_steps_says_which_paths_to_give(saved):
    with pytest.raises(CheckpointError, match=r"a folder of 2 steps, 9, 10; give 10 in it, or"):
        open_checkpoint(saved / "manager")


def read_all(path: Path):
    for array in _orbax.arrays(path):
        values = array.read()
        assert (values.shape, str(values.dtype)) == (array.shape, array.dtype)


def refused(path: Path) -> str:
    """The message with which a checkpoint is refused, at the latest when its arrays are read."""
    with pytest.raises(CheckpointError) as caught:
        read_all(path)
    return str(caught.value)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_from_eight_devices_is_read_on_one(saved, layout):
    expected, found = np.load(saved / "expected.npz"), by_name(saved / layout)
    first, second = found[KERNEL], found["params.Conv_1.kernel"]
    assert (first.shape, first.dtype, first.axes) == ((3, 3, 16, 16), "float32", "HWIO")
    assert (second.dtype, str(second.read().dtype)) == ("bfloat16", "bfloat16")
    np.testing.assert_array_equal(first.read(), expected["kernel0"])
    np.testing.assert_allclose(second.read().astype("float32"), expected["kernel1"], rtol=2**-8)
    assert found["params.Conv_0.bias"].axes is None
    assert found["step"].read() == 3
    read_all(saved / layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_optimizer_state_and_random_keys_are_told(saved, layout):
    reasons = {array.name: array.reason for array in _orbax.arrays(saved / layout)}
    moments = {reason for name, reason in reasons.items() if name.startswith("opt_state")}
    assert moments == {"optimizer state"}
    assert reasons[KERNEL] is None
    if "zarr" in layout or layout == "v1":
        assert reasons["rng"] == "random number key"
    assert not {"note", "none", "empty"} & reasons.keys()


@pytest.mark.parametrize("layout", [*LAYOUTS, "composite/run_0001", "optimizer", "nnx"])
def test_checkpoints_are_detected(saved, layout):
    assert detect(saved / layout).name == "orbax"
    assert _orbax_layout.steps(saved / layout) == []


def test_a_root_is_a_folder_of_steps_and_no_checkpoint(saved, tmp_path):
    root = saved / "manager"
    assert not _orbax_layout.recognizes(root, b"")
    assert _orbax_layout.steps(root) == [(9, root / "9"), (10, root / "10")]
    assert _orbax_layout.steps(saved / "composite") == [(1, saved / "composite" / "run_0001")]
    for other in (saved, tmp_path, tmp_path / "missing"):
        assert _orbax_layout.steps(other) == []


def test_a_root_of_an_older_version_is_no_checkpoint_either(saved, tmp_path):
    for step in ("1", "2"):
        shutil.copytree(saved / "manager/10/default", tmp_path / "root" / step)
    assert not _orbax_layout.recognizes(tmp_path / "root", b"")
    assert [step for step, _ in _orbax_layout.steps(tmp_path / "root")] == [1, 2]


def test_checkpoints_side_by_side_are_not_one_step(saved, tmp_path):
    shutil.copytree(saved / "standard", tmp_path / "models/a")
    assert not _orbax_layout.recognizes(tmp_path / "models", b"")
    shutil.copytree(saved / "manager/10/default", tmp_path / "old/b")
    assert _orbax_layout.recognizes(tmp_path / "old", b"")
    (tmp_path / "old/c.pth").touch()
    assert not _orbax_layout.recognizes(tmp_path / "old", b"")


def test_unfinished_steps_are_listed_to_be_refused(saved, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(saved / "manager/9", root / "9")
    shutil.copytree(saved / "manager/10", root / "10.orbax-checkpoint-tmp")
    assert [step for step, _ in _orbax_layout.steps(root)] == [9, 10]
    assert "unfinished" in refused(_orbax_layout.steps(root)[1][1])


def test_a_step_of_several_items_is_several_networks(saved):
    found = _orbax.arrays(saved / "composite" / "run_0001")
    kernels = [(array.network, array.name) for array in found if array.axes]
    names = ["Conv_0.kernel", "Conv_1.kernel"]
    assert kernels == [(item, name) for item in ("ema", "params") for name in names]


def test_a_step_without_metadata_of_its_own_is_read(broken):
    path = broken("manager/10")
    for name in ("_CHECKPOINT_METADATA", "commit_success.txt"):
        (path / name).unlink()
    (path / "default" / "commit_success.txt").unlink()
    assert detect(path).name == "orbax"
    assert KERNEL in by_name(path)


def test_the_field_value_of_nnx_variables_is_no_part_of_the_name(saved):
    assert {name: a.axes for name, a in by_name(saved / "nnx").items()} == {
        "bias": None,
        "kernel": "HWIO",
    }


def test_a_checkpoint_becomes_layers(saved):
    checkpoint = open_checkpoint(saved / "standard")
    expected = np.load(saved / "expected.npz")["kernel0"].transpose(3, 2, 0, 1)
    assert [layer.layer.name for layer in checkpoint.layers] == [KERNEL, "params.Conv_1.kernel"]
    np.testing.assert_array_equal(checkpoint.layers[0].read(), expected)


def test_nothing_but_metadata_is_read_before_an_array_is_asked_for(broken):
    path = broken("plain-zarr")
    for chunk in (path / KERNEL).glob("[0-9]*"):
        chunk.write_bytes(b"")
    found = by_name(path)
    found["params.Conv_1.kernel"].read()
    with pytest.raises(CheckpointError, match=r"plain-zarr: params\.Conv_0\.kernel: its data"):
        found[KERNEL].read()


@pytest.mark.parametrize("layout", ["standard", "plain-zarr", "plain-zarr3", "v1"])
def test_a_checkpoint_deleted_while_it_is_read_is_refused(broken, layout):
    path = broken(layout)
    found = by_name(path)
    shutil.rmtree(path)
    with pytest.raises(CheckpointError, match=r"params\.Conv_0\.kernel: its data is missing"):
        found[KERNEL].read()


def unfinished(path: Path):
    metadata = json.loads((path / "_CHECKPOINT_METADATA").read_text())
    text = json.dumps(metadata | {"commit_timestamp_nsecs": None})
    (path / "_CHECKPOINT_METADATA").write_text(text)
    (path / "commit_success.txt").unlink()


def half_written(path: Path):
    # Which of its folders a database keeps values in depends on the timing of its writer.
    folders = ("ocdbt.process_0/d/*", "d/*", f"{KERNEL}/[0-9c]*")
    files = [file for folder in folders for file in path.glob(folder)]
    for file in files:
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def leaf(keys: list[str]) -> dict:
    value = {"value_type": "jax.Array", "skip_deserialize": False}
    return {"key_metadata": [{"key": key} for key in keys], "value_metadata": value}


def text(name: str, content: str):
    return lambda path: (path / name).write_text(content)


def tree(content: object):
    return text("_METADATA", content if isinstance(content, str) else json.dumps(content))


def zarr(**changes):
    def change(path: Path):
        file = path / KERNEL / ".zarray"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def escape(name: str):
    return tree({"tree_metadata": {"x": leaf([name])}, "use_ocdbt": False})


def replace_by_link(path: Path):
    file = path / "manifest.ocdbt"
    file.rename(path.parent / "outside")
    file.symlink_to(path.parent / "outside")


def link_item(path: Path):
    (path / "default").rename(path.parent / "outside")
    (path / "default").symlink_to(path.parent / "outside")


DAMAGES = [
    ("standard", unfinished, "unfinished: no commit was recorded"),
    ("manager/10", lambda p: (p / "commit_success.txt").unlink(), "unfinished: no commit"),
    ("standard", lambda p: (p / "x.orbax-checkpoint-tmp-1").mkdir(), "unfinished: x.orbax"),
    ("standard", lambda p: (p / "manifest.ocdbt").unlink(), "expected the file manifest.ocdbt"),
    ("standard", lambda p: (p / "_METADATA").unlink(), "expected the file _METADATA"),
    ("manager/10", lambda p: shutil.rmtree(p / "default"), "expected the file _METADATA"),
    ("standard", lambda p: shutil.rmtree(p / "d"), "missing or damaged"),
    ("standard", lambda p: shutil.rmtree(p / "ocdbt.process_0"), "missing or damaged"),
    ("standard", half_written, "missing or damaged"),
    ("plain-zarr", half_written, "missing or damaged"),
    ("plain-zarr", lambda p: (p / KERNEL / "0.0.0.0").unlink(), "missing or damaged"),
    ("plain-zarr", lambda p: shutil.rmtree(p / KERNEL), f"{KERNEL}: its data is missing"),
    ("plain-zarr", lambda p: (p / KERNEL / ".zarray").write_text("{"), "missing or damaged"),
    ("plain-zarr", zarr(shape=[10**7, 10**7]), "missing or damaged"),
    ("plain-zarr", zarr(shape=[3, 3, 10**8, 10**8]), "bytes; expected at most"),
    ("plain-zarr", zarr(chunks=[3, 3, 10**6, 10**6]), "bytes; expected at most"),
    ("plain-zarr", zarr(shape=[3, 3, -16, 16]), "missing or damaged"),
    ("plain-zarr", zarr(dtype="|O"), "missing or damaged"),
    ("plain-zarr", escape("../expected"), "a name that leaves the folder"),
    ("plain-zarr", escape("/etc"), "a name that leaves the folder"),
    ("plain-zarr", escape("a/../../b"), "a name that leaves the folder"),
    ("standard", escape("../../x"), "missing or damaged"),
    ("standard", escape("\ud800"), "missing or damaged"),
    ("standard", replace_by_link, "manifest.ocdbt: a symbolic link"),
    ("manager/10", link_item, "default: a symbolic link"),
    ("standard", lambda p: os.mkfifo(p / "fifo"), "fifo: expected a regular file"),
    ("standard", lambda p: (p / "_METADATA").write_bytes(b"\xff\xfe\x00"), "no valid JSON"),
    ("standard", tree(""), "no valid JSON"),
    ("standard", tree("[" * 100_000), "no valid JSON"),
    ("standard", tree("[]"), "expected a JSON object"),
    ("standard", tree("9" * 10_000), "no valid JSON"),
    ("standard", tree({}), "expected tree_metadata"),
    ("standard", tree({"tree_metadata": []}), "expected tree_metadata"),
    ("standard", tree({"tree_metadata": {"x": None}}), "expected tree_metadata"),
    ("standard", tree({"tree_metadata": {"x": {"key_metadata": [1]}}}), "expected tree_metadata"),
    ("standard", tree({"tree_metadata": {"x": leaf(["y"])}}), "standard: y: its data is missing"),
    ("standard", text("array_metadatas/process_0", "{}"), "expected array_metadatas"),
    ("standard", text("_CHECKPOINT_METADATA", "null"), "expected a JSON object"),
    ("optimizer", lambda p: None, "holds only optimizer state"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "damage", "message"), DAMAGES)
def test_a_broken_checkpoint_is_refused_by_name(broken, layout, damage, message):
    path = broken(layout)
    damage(path)
    assert _orbax_layout.recognizes(path, b"")
    found = refused(path)
    assert found.startswith(str(path))
    assert message in found


def test_metadata_beyond_the_limit_is_not_read(broken, monkeypatch):
    monkeypatch.setattr(_orbax, "MAX_JSON_BYTES", 1000)
    assert "expected at most 1000" in refused(broken("standard"))


def test_an_old_checkpoint_may_leave_out_chunks_that_are_zero(broken):
    path = broken("plain-zarr")
    metadata = json.loads((path / "_METADATA").read_text())
    del metadata["store_array_data_equal_to_fill_value"]
    (path / "_METADATA").write_text(json.dumps(metadata))
    (path / KERNEL / "0.0.0.0").unlink()
    assert by_name(path)[KERNEL].read()[..., :2].any() == np.False_


@pytest.mark.parametrize("name", ["a.safetensors", "step_1", "1"])
def test_other_paths_are_not_recognized(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / "file").write_bytes(b"")
    paths = (tmp_path, tmp_path / name, tmp_path / "file", tmp_path / "missing", Path("a\0b"))
    assert not any(_orbax_layout.recognizes(path, b"") for path in paths)


@settings(max_examples=25)
@given(
    layout=st.sampled_from(["standard", "plain-zarr", "plain-zarr3"]),
    chosen=st.integers(0, 10_000),
    length=st.none() | st.integers(0, 1 << 20),
    flips=st.lists(st.integers(0, 1 << 24), max_size=3),
)
def test_damage_is_refused_or_harmless(saved, tmp_path_factory, layout, chosen, length, flips):
    path = shutil.copytree(saved / layout, tmp_path_factory.mktemp("damage") / layout)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.stat().st_size)
    file = files[chosen % len(files)]
    content = bytearray(file.read_bytes())
    for flip in flips:
        content[flip // 8 % len(content)] ^= 1 << flip % 8
    file.write_bytes(content[: None if length is None else length % len(content)])
    with contextlib.suppress(CheckpointError):
        read_all(path)
