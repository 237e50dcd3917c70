#!/usr/bin/env python3
"""Freezes a TensorFlow or Keras model into one file that Apus reads: a GraphDef whose variables are constants.

    freeze_tensorflow.py MODEL OUTPUT.pb [--signature NAME] [--rows N]

MODEL is the folder of a SavedModel (it holds saved_model.pb), or a file that Keras saved: NAME.keras or NAME.h5.
Of a SavedModel the signature `serving_default` is taken unless --signature names another one. With --rows the
batch has that many rows, instead of any number.

Needs the package tensorflow, or tensorflow-cpu (2.16 or later; models saved by Keras 2 need tf_keras as well). The
script runs what the model holds, so give it only models that you trust; Apus itself runs nothing of a model.
"""
import argparse
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="the folder of a SavedModel, or a .keras or .h5 file")
    parser.add_argument("output", type=pathlib.Path, help="the file to write, for example model.pb")
    parser.add_argument("--signature", default="serving_default", help="of a SavedModel (default: serving_default)")
    parser.add_argument("--rows", type=int, help="rows of a batch, if only that many shall be taken")
    arguments = parser.parse_args()
    try:
        if arguments.model.is_dir():
            function = saved_model_function(arguments.model, arguments.signature)
        else:
            function = keras_function(arguments.model, arguments.rows)
        graph, inputs, outputs = frozen(function)
    except (OSError, ValueError) as error:
        print(f"freeze_tensorflow.py: {error}", file=sys.stderr)
        return 1
    arguments.output.write_bytes(graph.SerializeToString(deterministic=True))
    for kind, tensors in (("input", inputs), ("output", outputs)):
        for tensor in tensors:
            print(f"{kind} {tensor.name.removesuffix(':0')}: {tensor.dtype.name} {tensor.shape}")
    print(f"{arguments.output}: {len(graph.node)} nodes, {arguments.output.stat().st_size} bytes")
    return 0


def saved_model_function(folder: pathlib.Path, signature: str):
    """The function of a SavedModel's signature."""
    import tensorflow as tf

    model = tf.saved_model.load(str(folder))
    if signature not in model.signatures:
        names = ", ".join(sorted(model.signatures)) or "none"
        raise ValueError(f"{folder} has no signature {signature}; there are: {names}")
    function = model.signatures[signature]
    # The function does not keep the variables alive; the model does.
    function.apus_model = model
    return function


def keras_function(file: pathlib.Path, rows: int | None):
    """What a Keras model computes when it answers, not when it trains."""
    import keras
    import tensorflow as tf

    model = keras.models.load_model(file, compile=False)
    specs = [
        tf.TensorSpec([rows, *tensor.shape[1:]], tensor.dtype, name=tensor.name.split(":")[0])
        for tensor in model.inputs
    ]
    function = tf.function(lambda *inputs: model(inputs[0] if len(inputs) == 1 else list(inputs), training=False))
    return function.get_concrete_function(*specs)


def frozen(function):
    """The graph of a function with its variables as constants and its calls written out, inputs and outputs."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    constant = convert_variables_to_constants_v2(function)
    return constant.graph.as_graph_def(), constant.inputs, constant.outputs


if __name__ == "__main__":
    sys.exit(main())
