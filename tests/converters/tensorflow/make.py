"""Write the fixtures of this folder with TensorFlow's own writers.

Run it where tensorflow 2.21, tf_keras and tensorflowjs 4.22 are installed: `python make.py .`. The weights
are those of `truth.npz`, in the axes of torch, as `tests.converters.agreement.torch_arrays` gives them.
"""

import json
import os
import sys
import types
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

OUT, V1, KERAS = Path(sys.argv[1]), tf.compat.v1, tf.keras
TRUTH = dict(np.load(OUT / "truth.npz"))
DEPTHWISE = "layer2"


def network():
    """The network of `agreement` with a BatchNorm behind its depthwise layer."""
    image = x = KERAS.Input((6, 6, 3), name="image")
    options = {"padding": "same", "activation": "relu"}
    x = KERAS.layers.Conv2D(8, 3, name="layer0", **options)(x)
    x = KERAS.layers.Conv2D(8, 3, groups=2, name="layer1", **options)(x)
    x = KERAS.layers.DepthwiseConv2D(3, name=DEPTHWISE, **options)(x)
    x = KERAS.layers.Conv2DTranspose(6, 2, strides=2, name="layer3")(x)
    x = KERAS.layers.BatchNormalization(name="norm")(x)
    x = KERAS.layers.ReLU()(x)
    x = KERAS.layers.Conv2D(5, 1, name="layer4")(x)
    model = KERAS.Model(image, x)
    for layer in model.layers:
        if f"{layer.name}.weight" in TRUTH:
            layer.set_weights([kernel(layer.name), TRUTH[f"{layer.name}.bias"]])
    return model


def kernel(name):
    """A weight of the truth in the axes of Keras."""
    order = (2, 3, 0, 1) if name == DEPTHWISE else (2, 3, 1, 0)
    return TRUTH[f"{name}.weight"].transpose(order)


def images():
    rng = np.random.default_rng(0)
    for _ in range(4):
        yield [rng.normal(size=(1, 6, 6, 3)).astype(np.float32)]


def lite(name, model, *types, **options):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_types = types
    for key, value in options.items():
        setattr(converter, key, value)
    (OUT / f"{name}.tflite").write_bytes(converter.convert())


def checkpoint(model):
    optimizer = KERAS.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(OUT / "checkpoint" / "model"))


def frozen(model):
    call = tf.function(lambda image: model(image, training=False))
    concrete = call.get_concrete_function(tf.TensorSpec((None, 6, 6, 3)))
    graph = convert_variables_to_constants_v2(concrete).graph.as_graph_def()
    (OUT / "frozen.pb").write_bytes(graph.SerializeToString())


def volumes():
    """Convolutions of one and of three dimensions."""
    image = KERAS.Input((8, 8, 8, 2), name="image")
    x = KERAS.layers.Conv3D(4, 3, name="conv")(image)
    volume = KERAS.Model(image, KERAS.layers.Conv3DTranspose(3, 2, name="up")(x))
    line = KERAS.Sequential([KERAS.Input((16, 2)), KERAS.layers.Conv1D(4, 3, name="line")])
    rng = np.random.default_rng(1)
    for model in (volume, line):
        model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    lite("volume", volume)
    line.export(OUT / "line", verbose=False)
    arrays = [w for model in (volume, line) for w in model.get_weights() if w.ndim > 2]
    np.savez(OUT / "volumes.npz", **dict(zip(("conv", "up", "line"), arrays, strict=True)))


def first_version():
    """A graph of TensorFlow 1: a partitioned variable, momenta and averages, and a frozen copy."""
    graph = tf.Graph()
    with graph.as_default(), V1.Session() as session:
        image = V1.placeholder(tf.float32, (None, 6, 6, 3), name="image")
        in_parts = V1.fixed_size_partitioner(2, axis=3)
        with V1.variable_scope("net", use_resource=False):
            stem = variable("layer0/weights", "layer0", in_parts)
            depthwise = variable("layer2/depthwise_weights", DEPTHWISE)
            up = variable("layer3/weights", "layer3")
        x = tf.nn.relu(tf.nn.conv2d(image, stem, 1, "SAME"))
        x = tf.nn.relu(tf.nn.depthwise_conv2d(x, depthwise, [1, 1, 1, 1], "SAME"))
        shape = tf.stack([tf.shape(x)[0], 12, 12, 6])
        x = tf.nn.conv2d_transpose(x, up, shape, 2, "VALID", name="out")
        train = V1.train.MomentumOptimizer(0.0, 0.9).minimize(tf.reduce_sum(x))
        averages = V1.train.ExponentialMovingAverage(0.5).apply([depthwise, up])
        # Averages start from the variables that they follow.
        session.run(V1.variables_initializer(V1.trainable_variables()))
        session.run(V1.variables_initializer(V1.global_variables()))
        session.run([train, averages], {image: np.ones((1, 6, 6, 3))})
        V1.train.Saver().save(session, str(OUT / "v1" / "model.ckpt"))
        constants = V1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), ["out"]
        )
    (OUT / "v1" / "checkpoint").unlink()
    (OUT / "frozen_v1.pb").write_bytes(constants.SerializeToString())


def variable(name, layer, partitioner=None):
    value = kernel(layer)
    initializer = V1.constant_initializer(value) if partitioner is None else _part_of(value)
    return V1.get_variable(name, value.shape, initializer=initializer, partitioner=partitioner)


def _part_of(value):
    def initialize(shape, dtype=None, partition_info=None):
        start = partition_info.var_offset
        return tf.constant(value[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))])

    return initialize


def web(model):
    """Models of TensorFlow.js, by its converters; packages that these import for others are left out."""
    for name in (
        "jax",
        "jax.experimental",
        "jax.experimental.jax2tf",
        "tensorflow_decision_forests",
    ):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["jax.experimental"].jax2tf = sys.modules["jax.experimental.jax2tf"]
    import tf_keras
    from tensorflowjs.converters import tf_saved_model_conversion_v2
    from tensorflowjs.converters.converter import dispatch_keras_h5_to_tfjs_layers_model_conversion
    from tensorflowjs.write_weights import write_weights

    convert = tf_saved_model_conversion_v2.convert_tf_frozen_model
    frozen, quantization = str(OUT / "frozen_v1.pb"), {"uint8": "*layer0*", "uint16": "*layer3*"}
    convert(frozen, "out", str(OUT / "web"), weight_shard_size_bytes=1024)
    convert(frozen, "out", str(OUT / "web_integers"), quantization_dtype_map=quantization)
    convert(frozen, "out", str(OUT / "web_float16"), quantization_dtype_map={"float16": "*"})
    layers = tf_keras.layers
    stack = [
        layers.Conv2D(8, 3, padding="same", input_shape=(6, 6, 3), name="layer0"),
        layers.DepthwiseConv2D(3, padding="same", name=DEPTHWISE),
        layers.BatchNormalization(name="norm"),
        layers.Conv2DTranspose(6, 2, strides=2, name="layer3"),
    ]
    model = tf_keras.Sequential(stack)
    for layer in stack:
        if layer.name != "norm":
            layer.set_weights([kernel(layer.name), TRUTH[f"{layer.name}.bias"]])
    (OUT / "web_layers").mkdir(exist_ok=True)
    model.save(OUT / "web_layers" / "model.h5", include_optimizer=False)
    topology, groups = dispatch_keras_h5_to_tfjs_layers_model_conversion(
        str(OUT / "web_layers" / "model.h5")
    )
    manifest = write_weights(groups, str(OUT / "web_layers"))
    content = {"format": "layers-model", "modelTopology": topology, "weightsManifest": manifest}
    (OUT / "web_layers" / "model.json").write_text(json.dumps(content))
    for name in ("model.h5", "weights_manifest.json"):
        (OUT / "web_layers" / name).unlink()


def main():
    model = network()
    lite("float32", model)
    lite("float16", model, tf.float16, optimizations=[tf.lite.Optimize.DEFAULT])
    lite(
        "int8",
        model,
        tf.int8,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=images,
    )
    model.export(OUT / "saved_model", verbose=False)
    checkpoint(model)
    frozen(model)
    volumes()
    first_version()
    web(model)


main()
