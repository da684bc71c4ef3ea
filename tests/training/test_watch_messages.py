"""Networks that a watcher cannot measure as they come: each error says what there is and what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfilters as jf
from jfilters.training import cosine_basis, measure_layers

from .networks import arrays, weights


def params(*shapes):
    return {f"conv{i}": {"kernel": jnp.ones(shape)} for i, shape in enumerate(shapes)}


POINTWISE = {f"point{i}": {"kernel": jnp.ones((1, 1, 8, 16))} for i in range(2)}
HEAD = {"head": {"kernel": jnp.ones((16, 3))}}


class TestWithoutSuchKernels:
    def test_1x1_convolutions_alone_are_no_kernels(self):
        with pytest.raises(ValueError, match=r"got 2 1x1 convolutions alone, .* are no kernels"):
            jf.watch()(0, POINTWISE | HEAD)

    def test_the_sizes_that_there_are_and_the_argument(self):
        network = params((5, 5, 8, 16), (7, 7, 8, 16)) | POINTWISE
        message = r"expected 3x3 kernels, got kernels of sizes 5x5, 7x7; .* spatial=\(5, 5\)"
        with pytest.raises(ValueError, match=message):
            jf.watch()(0, network)
        assert jf.watch(spatial=(5, 5))(0, params((5, 5, 8, 16)))

    def test_dense_layers_alone_are_counted_by_reason(self):
        with pytest.raises(ValueError, match=r"none among 1 arrays \(dense \(2-D\) \(1\)\)"):
            jf.watch()(0, HEAD)

    def test_under_jit_as_well(self):
        with pytest.raises(ValueError, match="got 2 1x1 convolutions alone") as raised:
            jax.jit(lambda network: measure_layers(network).sparsity)(POINTWISE)
        assert "racer" not in str(raised.value)

    @pytest.mark.parametrize("spatial", [(), (0, 3), (1, 1)])
    def test_a_size_that_is_none(self, spatial):
        with pytest.raises(ValueError, match=r"^spatial: "):
            jf.watch(spatial=spatial)


def test_inside_jit_one_sentence_says_what_to_use():
    watcher = jf.watch()
    with pytest.raises(ValueError, match="call watch outside of jit, or measure_layers") as raised:
        jax.jit(lambda network: watcher(0, network))(arrays())
    assert "racer" not in str(raised.value)


def test_torch_modules_are_watched():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(*(torch.nn.Conv2d(w.shape[1], w.shape[0], 3) for w in weights()))
    with torch.no_grad():
        for layer, weight in zip(module, weights(), strict=True):
            layer.weight.copy_(torch.tensor(weight))
    found, expected = jf.watch()(0, module), jf.watch()(0, arrays())
    assert found["jfilters/0.weight/sparsity"] == expected["jfilters/conv0/kernel/sparsity"]
    assert found["jfilters/drift"] == expected["jfilters/drift"]


def test_from_params_says_which_function_reads_a_torch_module():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="got the torch module Conv2d; use from_module"):
        jf.from_params(torch.nn.Conv2d(3, 3, 3))


class Layer:
    """The part of keras.Layer that is read; its module is set below."""

    name = "net"

    def __init__(self, *weights):
        self.weights = list(weights)

    def _flatten_layers(self):
        return [self]


class Conv2D(Layer):
    groups = 1


class Sequential(Layer):
    def __init__(self, *layers):
        super().__init__(*(weight for layer in layers for weight in layer.weights))
        self.layers = layers

    def _flatten_layers(self):
        return [self, *self.layers]


Layer.__module__ = "keras.src.layers.layer"


class Variable:
    def __init__(self, path, value):
        self.path, self.value = path, value
        self.shape, self.dtype = value.shape, str(value.dtype)


def keras_model(value=None):
    convolutions = [
        Conv2D(Variable(f"net/conv{i}/kernel", value or jnp.asarray(w.transpose(2, 3, 1, 0))))
        for i, w in enumerate(weights())
    ]
    return Sequential(*convolutions)


class TestKeras:
    def test_a_model_is_read_like_its_file(self):
        kernels = jf.from_params(keras_model())
        assert kernels.names == tuple(f"conv{i}/kernel" for i in range(4))
        assert {layer.axes for layer in kernels.layers} == {"HWIO"}
        for found, expected in zip(kernels.weights, weights(), strict=True):
            np.testing.assert_array_equal(found, expected)

    def test_it_is_watched_compared_and_scanned(self):
        assert jf.watch()(0, keras_model())["jfilters/drift"] == 0
        assert jf.compare(keras_model(), arrays()).relation.label == "identical"
        assert jf.scan({"net": keras_model()}, progress=False).record["totals"]["kernels"] == 264

    def test_variables_that_cannot_be_read_name_the_way_out(self):
        unreadable = np.ones((3, 3, 4, 4), np.float32)
        model = Sequential(Conv2D(Variable("net/conv/kernel", unreadable)))
        model.weights[0].numpy = None
        with pytest.raises(jf.CheckpointError, match=r"pass \{v.path: v.numpy\(\) for v in"):
            jf.from_params(model)

    def test_what_the_message_says_works(self):
        variables = {v.path: np.asarray(v.value) for v in keras_model().weights}
        assert len(jf.from_params(variables)) == 4

    def test_a_model_that_is_not_built(self):
        with pytest.raises(ValueError, match="Sequential has no weights; build it"):
            jf.from_params(Sequential())


def test_a_basis_of_another_size_still_says_so():
    with pytest.raises(ValueError, match="expected a basis of 9 taps"):
        jf.watch(basis=cosine_basis((5, 5)))
