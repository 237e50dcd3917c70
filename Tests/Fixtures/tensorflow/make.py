#!/usr/bin/env python3
"""Makes the fixtures of this folder with TensorFlow: make.py [FOLDER]

NAME.pb is a model frozen by tools/freeze_tensorflow.py, NAME.input.bin and NAME.output.bin rows for it and what
TensorFlow answers, in float32. saved_model.pb is a SavedModel that is not frozen. operators.json holds graphs of one
operator or a few: `graph` in base64, numbers for its inputs, and what TensorFlow computes of them.

Needs the packages tensorflow-cpu 2.21.0 and keras 3.15.1. Weights and inputs come from fixed seeds.
"""
import base64
import json
import os
import pathlib
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2] / "tools"))

import freeze_tensorflow
import keras
import numpy as np
import tensorflow as tf
from keras import layers

import operators


def mlp():
    inputs = keras.Input([12], name="features")
    x = layers.Dense(16, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(8, activation="gelu")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.LayerNormalization()(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


def cnn():
    inputs = keras.Input([12, 10, 3], name="image")
    x = layers.Rescaling(1 / 2, offset=-0.25)(inputs)
    x = layers.Conv2D(6, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(8, 3, padding="same", strides=2, activation="elu")(x)
    x = layers.AveragePooling2D(2, padding="same")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(10, activation="tanh")(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def depthwise():
    inputs = keras.Input([9, 9, 1], name="image")
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(inputs)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = layers.BatchNormalization(epsilon=1e-3)(x)
    x = layers.ReLU(6)(x)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, depth_multiplier=1)(x)
    y = layers.BatchNormalization()(y)
    y = layers.ReLU(6)(y)
    y = layers.Conv2D(8, 1)(y)
    x = layers.Add()([x, y])
    # Squeeze and excitation.
    s = layers.GlobalAveragePooling2D(keepdims=True)(x)
    s = layers.Conv2D(4, 1, activation="silu")(s)
    s = layers.Conv2D(8, 1, activation="sigmoid")(s)
    x = layers.Multiply()([x, s])
    z = layers.SeparableConv2D(6, 3, dilation_rate=1, padding="same", depth_multiplier=2, activation="leaky_relu")(x)
    x = layers.Concatenate()([x, z])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="sigmoid")(x))


def sequence():
    inputs = keras.Input([7], dtype="int32", name="tokens")
    x = layers.Embedding(20, 6)(inputs)
    x = layers.Conv1D(8, 3, activation="relu", padding="same")(x)
    x = layers.GlobalMaxPooling1D()(x)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def randomized(model, seed):
    """The same with weights that are not those of a fresh layer: norms that do something."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        value = random.normal(0, 0.5, weight.shape)
        if "variance" in weight.path:
            value = random.uniform(0.5, 1.5, weight.shape)
        weight.assign(value.astype(np.float32))
    return model


def main() -> None:
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for seed, build in enumerate([mlp, cnn, depthwise, sequence]):
        keras.utils.clear_session()
        name = build.__name__
        model = randomized(build(), seed)
        with tempfile.TemporaryDirectory() as temporary:
            # Each goes one way to the file: what Keras saves, or what it exports.
            if build is depthwise:
                path = pathlib.Path(temporary) / "export"
                model.export(path, format="tf_saved_model", verbose=False)
            else:
                path = pathlib.Path(temporary) / ("model.h5" if build is mlp else "model.keras")
                model.save(path)
            sys.argv = ["freeze_tensorflow.py", str(path), str(folder / f"{name}.pb")]
            assert freeze_tensorflow.main() == 0
        random = np.random.default_rng(100 + seed)
        shape = [5, *model.inputs[0].shape[1:]]
        if build is sequence:
            rows = random.integers(0, 20, shape).astype(np.int32)
        else:
            rows = random.normal(0, 1, shape).astype(np.float32)
        rows.tofile(folder / f"{name}.input.bin")
        model(rows, training=False).numpy().astype(np.float32).tofile(folder / f"{name}.output.bin")

    with tempfile.TemporaryDirectory() as temporary:
        tf.saved_model.save(tf.Module(), temporary)
        (folder / "saved_model.pb").write_bytes((pathlib.Path(temporary) / "saved_model.pb").read_bytes())

    cases = [case(name, build, seed) for seed, (name, build) in enumerate(operators.CASES.items())]
    text = "[\n" + ",\n".join(json.dumps(each) for each in cases) + "\n]\n"
    (folder / "operators.json").write_text(text)
    print(len(cases), "cases of operators,", len(text), "bytes")


def case(name, build, seed):
    """One graph, and what it computes."""
    random = np.random.default_rng(seed)
    with tf.Graph().as_default() as graph:
        feeds = {}
        expected = None

        def given(name, value, shape=None):
            value = np.asarray(value)
            placeholder = tf.compat.v1.placeholder(value.dtype, shape or value.shape, name=name)
            feeds[placeholder] = value
            return placeholder

        results = build(given, random)
        if isinstance(results, dict):
            # TensorFlow cannot compute it on a processor; what is expected comes with it.
            expected = results["expected"]
            results = results["graph"]
        results = results if isinstance(results, (list, tuple)) else [results]
        outputs = [tf.identity(result, name=f"result{place}") for place, result in enumerate(results)]
        if expected is None:
            options = tf.compat.v1.OptimizerOptions(opt_level=tf.compat.v1.OptimizerOptions.L0)
            config = tf.compat.v1.ConfigProto(graph_options=tf.compat.v1.GraphOptions(optimizer_options=options))
            with tf.compat.v1.Session(config=config) as session:
                expected = session.run(outputs, feeds)
        return {
            "name": name,
            "graph": base64.b64encode(graph.as_graph_def().SerializeToString(deterministic=True)).decode(),
            "inputs": [tensor(placeholder.op.name, value) for placeholder, value in feeds.items()],
            "outputs": [tensor(output.op.name, value) for output, value in zip(outputs, expected)],
        }


def tensor(name, value):
    value = np.asarray(value)
    numbers = value.astype(np.int64 if value.dtype.kind in "biu" else np.float32).ravel().tolist()
    if value.dtype.kind not in "biu":
        numbers = [float(f"{number:.8g}") for number in numbers]
    return {"name": name, "type": value.dtype.name, "shape": list(value.shape), "values": numbers}


if __name__ == "__main__":
    main()
