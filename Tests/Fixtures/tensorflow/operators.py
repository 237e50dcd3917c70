"""Graphs of single operators, for make.py. A case takes `given`, which makes an input, and random numbers."""
import numpy as np
import tensorflow as tf

CASES = {}
raw = tf.raw_ops


def case(function):
    CASES[function.__name__] = function
    return function


def normal(random, *shape):
    return random.normal(0, 1, shape).astype(np.float32)


def rows(given, random, *shape, name="x"):
    """An input whose batch is open."""
    return given(name, normal(random, *shape), [None, *shape[1:]])


def unary(name, function, low=-3.0, high=3.0):
    def build(given, random):
        return function(given("x", random.uniform(low, high, [2, 5]).astype(np.float32), [None, 5]))

    CASES[name] = build


for name in "Relu Relu6 Elu Selu Sigmoid Tanh Softplus Softsign Softmax LogSoftmax".split():
    operation = getattr(raw, name)
    argument = {"Sigmoid": "x", "Tanh": "x", "Softmax": "logits", "LogSoftmax": "logits"}.get(name, "features")
    unary(name, lambda x, operation=operation, argument=argument: operation(**{argument: x}), -8, 8)
for name in "Exp Erf Square Neg Abs Floor Ceil Sign".split():
    unary(name, lambda x, operation=getattr(raw, name): operation(x=x))
for name in "Sqrt Rsqrt Log Reciprocal Inv".split():
    unary(name, lambda x, operation=getattr(raw, name): operation(x=x), 0.1, 9)
unary("LeakyRelu", lambda x: raw.LeakyRelu(features=x, alpha=0.3))
unary("LeakyRelu_default", lambda x: raw.LeakyRelu(features=x))


def binary(name, low=-3.0, high=3.0):
    def build(given, random):
        x = given("x", random.uniform(low, high, [3, 4]).astype(np.float32), [None, 4])
        y = tf.constant(random.uniform(low, high, [4]).astype(np.float32))
        return getattr(raw, name)(x=x, y=y)

    CASES[name] = build


for name in "Add AddV2 Sub Mul RealDiv Maximum Minimum SquaredDifference Greater GreaterEqual Less LessEqual".split():
    binary(name)
binary("Pow", 0.5, 2.5)


@case
def Equal(given, random):
    x, y = random.integers(0, 3, [2, 3, 4]).astype(np.int32)
    x, y = given("x", x), given("y", y)
    return raw.Equal(x=x, y=y), raw.NotEqual(x=x, y=y)


@case
def Logical(given, random):
    x, y = rows(given, random, 2, 4), rows(given, random, 2, 4, name="y")
    a, b = raw.Greater(x=x, y=0.0), raw.Greater(x=y, y=0.0)
    return raw.LogicalAnd(x=a, y=b), raw.LogicalOr(x=a, y=b), raw.LogicalNot(x=a)


@case
def MatMul(given, random):
    return raw.MatMul(a=rows(given, random, 3, 4), b=tf.constant(normal(random, 4, 5)))


@case
def MatMul_transposed(given, random):
    x = rows(given, random, 3, 4)
    y = given("y", normal(random, 4, 3))
    return (
        raw.MatMul(a=x, b=tf.constant(normal(random, 5, 4)), transpose_b=True),
        raw.MatMul(a=y, b=tf.constant(normal(random, 2, 4)), transpose_a=True, transpose_b=True),
        raw.MatMul(a=y, b=tf.constant(normal(random, 4, 2)), transpose_a=True),
    )


@case
def BatchMatMulV2(given, random):
    x = rows(given, random, 2, 3, 4)
    y = rows(given, random, 2, 5, 4, name="y")
    return raw.BatchMatMulV2(x=x, y=y, adj_y=True), raw.BatchMatMulV2(x=x, y=normal(random, 4, 2))


@case
def BiasAdd(given, random):
    x = rows(given, random, 2, 3, 4, 5)
    return (
        raw.BiasAdd(value=x, bias=normal(random, 5)),
        raw.BiasAdd(value=x, bias=normal(random, 3), data_format="NCHW"),
        raw.BiasAdd(value=rows(given, random, 2, 5, name="y"), bias=normal(random, 5)),
    )


def image(given, random, *shape):
    return rows(given, random, *shape)


@case
def Conv2D_same(given, random):
    x = image(given, random, 2, 7, 6, 3)
    return raw.Conv2D(input=x, filter=normal(random, 3, 3, 3, 4), strides=[1, 2, 2, 1], padding="SAME")


@case
def Conv2D_valid_dilated(given, random):
    x = image(given, random, 2, 9, 8, 2)
    return raw.Conv2D(
        input=x, filter=normal(random, 3, 2, 2, 4), strides=[1, 1, 1, 1], padding="VALID", dilations=[1, 2, 3, 1]
    )


@case
def Conv2D_explicit(given, random):
    x = image(given, random, 1, 5, 6, 2)
    return raw.Conv2D(
        input=x, filter=normal(random, 3, 3, 2, 3), strides=[1, 1, 2, 1], padding="EXPLICIT",
        explicit_paddings=[0, 0, 1, 2, 0, 1, 0, 0],
    )  # fmt: skip


@case
def Conv2D_groups(given, random):
    x = image(given, random, 2, 5, 5, 4)
    return raw.Conv2D(input=x, filter=normal(random, 3, 3, 2, 6), strides=[1, 1, 1, 1], padding="SAME")


@case
def Conv2D_NCHW(given, random):
    value = normal(random, 2, 3, 6, 5)
    weights = normal(random, 3, 3, 3, 4)
    x = given("x", value, [None, 3, 6, 5])
    graph = raw.Conv2D(input=x, filter=weights, strides=[1, 1, 1, 2], padding="SAME", data_format="NCHW")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        same = raw.Conv2D(
            input=value.transpose(0, 2, 3, 1), filter=weights, strides=[1, 1, 2, 1], padding="SAME"
        )
        expected = session.run(same).transpose(0, 3, 1, 2)
    return {"graph": graph, "expected": [expected]}


@case
def Conv2D_of_computed_weights(given, random):
    x = image(given, random, 2, 5, 5, 2)
    return raw.Conv2D(
        input=x, filter=raw.Mul(x=normal(random, 3, 3, 2, 3), y=0.5), strides=[1, 1, 1, 1], padding="VALID"
    )


@case
def Depthwise(given, random):
    x = image(given, random, 2, 7, 6, 3)
    return raw.DepthwiseConv2dNative(
        input=x, filter=normal(random, 3, 3, 3, 2), strides=[1, 2, 2, 1], padding="SAME"
    )


@case
def Depthwise_dilated(given, random):
    value, weights = normal(random, 2, 7, 6, 3), normal(random, 2, 2, 3, 1)
    graph = raw.DepthwiseConv2dNative(
        input=given("x", value, [None, 7, 6, 3]), filter=weights, strides=[1, 1, 1, 1], padding="VALID",
        dilations=[1, 2, 2, 1],
    )  # fmt: skip
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        # The same in pieces, which a processor computes.
        same = tf.nn.depthwise_conv2d(value, weights, [1, 1, 1, 1], "VALID", dilations=[2, 2])
        return {"graph": graph, "expected": [session.run(same)]}


@case
def Pools(given, random):
    x = image(given, random, 2, 7, 6, 3)
    sizes = {"ksize": [1, 3, 2, 1], "strides": [1, 2, 2, 1]}
    return (
        raw.MaxPool(input=x, padding="SAME", **sizes),
        raw.MaxPool(input=x, padding="VALID", **sizes),
        raw.AvgPool(value=x, padding="SAME", **sizes),
        raw.AvgPool(value=x, padding="VALID", **sizes),
    )


@case
def FusedBatchNorm(given, random):
    x = image(given, random, 2, 3, 4, 5)
    numbers = [normal(random, 5), normal(random, 5), normal(random, 5), random.uniform(0.5, 2, 5).astype(np.float32)]
    names = ["scale", "offset", "mean", "variance"]
    arguments = dict(zip(names, numbers))
    return (
        raw.FusedBatchNormV3(x=x, is_training=False, epsilon=0.01, **arguments).y,
        raw.FusedBatchNorm(x=x, is_training=False, **arguments).y,
    )


@case
def ConvThenBias(given, random):
    """What Keras writes: a convolution, its bias, a norm in pieces, an activation, a pool."""
    x = image(given, random, 2, 6, 6, 2)
    y = raw.Conv2D(input=x, filter=normal(random, 3, 3, 2, 4), strides=[1, 1, 1, 1], padding="SAME")
    y = raw.BiasAdd(value=y, bias=normal(random, 4))
    y = raw.Mul(x=y, y=normal(random, 4))
    y = raw.AddV2(x=y, y=normal(random, 4))
    y = raw.Relu(features=y)
    y = raw.MaxPool(input=y, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID")
    y = raw.Mean(input=y, axis=[1, 2])
    return raw.Softmax(logits=y)


@case
def Layouts(given, random):
    """Broadcasts between what lies channels first and what does not."""
    x = image(given, random, 2, 4, 3, 2)
    y = raw.Conv2D(input=x, filter=normal(random, 1, 1, 2, 2), strides=[1, 1, 1, 1], padding="SAME")
    z = raw.AddV2(x=y, y=x)
    z = raw.Mul(x=z, y=normal(random, 3, 2))
    z = raw.Maximum(x=normal(random, 4, 1, 1), y=z)
    z = raw.Sub(x=z, y=0.5)
    return (
        z,
        raw.Mean(input=z, axis=[1, 2], keep_dims=True),
        raw.Max(input=z, axis=[3]),
        raw.Sum(input=z, axis=[-1, 1], keep_dims=True),
        raw.ConcatV2(values=[y, x, z], axis=3),
        raw.ConcatV2(values=[y, x], axis=1),
        raw.Softmax(logits=z),
        raw.Pad(input=z, paddings=[[0, 0], [1, 2], [0, 1], [0, 0]]),
        raw.Transpose(x=z, perm=[0, 3, 1, 2]),
        raw.Transpose(x=raw.Transpose(x=z, perm=[0, 3, 1, 2]), perm=[0, 2, 3, 1]),
        raw.SelectV2(condition=raw.Greater(x=z, y=0.0), t=z, e=x),
        raw.StridedSlice(
            input=z, begin=[0, 1, 0, 0], end=[0, 3, 0, 1], strides=[1, 1, 1, 1], begin_mask=1, end_mask=5
        ),
    )


@case
def OneColumn(given, random):
    x = image(given, random, 2, 4, 4, 1)
    y = raw.Conv2D(input=x, filter=normal(random, 4, 4, 1, 3), strides=[1, 1, 1, 1], padding="VALID")
    return raw.Squeeze(input=y, axis=[1, 2])


@case
def Flatten(given, random):
    x = image(given, random, 2, 3, 2, 2)
    shape = raw.Shape(input=x)
    batch = raw.StridedSlice(input=shape, begin=[0], end=[1], strides=[1], shrink_axis_mask=1)
    return (
        raw.Reshape(tensor=x, shape=raw.Pack(values=[batch, 12])),
        raw.Reshape(tensor=x, shape=raw.Pack(values=[batch, -1])),
        raw.Reshape(tensor=x, shape=[-1, 12]),
        raw.Reshape(tensor=x, shape=raw.Pack(values=[batch * 3, 4])),
        raw.Reshape(tensor=x, shape=raw.ConcatV2(values=[shape[:1], [4, 3]], axis=0)),
    )


@case
def Reshapes(given, random):
    x = rows(given, random, 2, 1, 3, 1)
    return (
        raw.Squeeze(input=x),
        raw.Squeeze(input=x, axis=[-1]),
        raw.ExpandDims(input=x, axis=-1),
        raw.ExpandDims(input=x, axis=1),
        raw.Transpose(x=x, perm=[0, 2, 1, 3]),
    )


@case
def Joins(given, random):
    x, y = rows(given, random, 2, 3), rows(given, random, 2, 3, name="y")
    return (
        raw.ConcatV2(values=[x, y, x], axis=-1),
        raw.Pack(values=[x, y], axis=1),
        raw.AddN(inputs=[x, y, x]),
        *raw.Split(axis=1, value=raw.ConcatV2(values=[x, y], axis=1), num_split=3),
        *raw.SplitV(value=raw.ConcatV2(values=[x, y], axis=1), size_splits=[1, 3, 2], axis=1, num_split=3),
        *raw.Unpack(value=x, num=3, axis=1),
    )


@case
def Pads(given, random):
    x = rows(given, random, 2, 3)
    return (
        raw.Pad(input=x, paddings=[[0, 0], [1, 2]]),
        raw.PadV2(input=x, paddings=[[0, 0], [2, 0]], constant_values=1.5),
        raw.MirrorPad(input=x, paddings=[[0, 0], [1, 2]], mode="REFLECT"),
    )


@case
def Reductions(given, random):
    x = rows(given, random, 2, 3, 4)
    return (
        raw.Mean(input=x, axis=[1]),
        raw.Sum(input=x, axis=-1, keep_dims=True),
        raw.Max(input=x, axis=[1, 2]),
        raw.Min(input=x, axis=[2], keep_dims=True),
        raw.Prod(input=x, axis=[2]),
        raw.Sum(input=x, axis=np.zeros([0], np.int32)),
        raw.ArgMax(input=x, dimension=-1),
        raw.ArgMax(input=x, dimension=1, output_type=tf.int32),
        raw.ArgMin(input=x, dimension=1),
    )


@case
def Slices(given, random):
    x = rows(given, random, 2, 5, 4)

    def slice_of(begin, end, strides, **masks):
        return raw.StridedSlice(input=x, begin=begin, end=end, strides=strides, **masks)

    return (
        slice_of([0, 1, 0], [0, 4, 3], [1, 2, 1], begin_mask=1, end_mask=1),
        slice_of([0, 3, 0], [0, 0, 0], [1, -1, 1], begin_mask=5, end_mask=7),
        slice_of([0, -1], [0, 0], [1, 1], begin_mask=1, end_mask=1, shrink_axis_mask=2),
        slice_of([0, 2], [0, 3], [1, 1], ellipsis_mask=1, shrink_axis_mask=2),
        slice_of([0, 0, 1], [0, 0, 2], [1, 1, 1], begin_mask=1, end_mask=1, new_axis_mask=2),
        raw.Slice(input=x, begin=[0, 1, 2], size=[-1, 3, 2]),
    )


@case
def Gathers(given, random):
    table = normal(random, 6, 3)
    x = given("x", random.integers(0, 6, [2, 4]).astype(np.int32), [None, 4])
    y = rows(given, random, 2, 5, name="y")
    return (
        raw.GatherV2(params=table, indices=x, axis=0),
        raw.GatherV2(params=y, indices=[4, 0, 0], axis=1),
        raw.Gather(params=table, indices=x),
    )


@case
def Casts(given, random):
    x = rows(given, random, 2, 4)
    y = given("y", random.integers(0, 3, [2, 4]).astype(np.uint8), [None, 4])
    return (
        raw.Cast(x=x, DstT=tf.int32),
        raw.Cast(x=y, DstT=tf.float32),
        raw.Cast(x=raw.Greater(x=x, y=0.0), DstT=tf.float32),
    )


@case
def Selects(given, random):
    x, y = rows(given, random, 2, 3), rows(given, random, 2, 3, name="y")
    rows_condition = given("z", np.array([True, False]), [None])
    return (
        raw.SelectV2(condition=raw.Greater(x=x, y=y), t=x, e=0.5),
        raw.Select(condition=raw.Less(x=x, y=y), x=x, y=y),
        raw.Select(condition=rows_condition, x=x, y=y),
    )


@case
def Fills(given, random):
    x = rows(given, random, 2, 3)
    zeros = raw.Fill(dims=raw.Shape(input=x), value=2.0)
    return (
        raw.AddV2(x=x, y=zeros),
        raw.Tile(input=x, multiples=[1, 2]),
        raw.BroadcastTo(input=normal(random, 3), shape=raw.Shape(input=x)),
        raw.AddV2(x=x, y=tf.zeros([3])),
        raw.AddV2(x=x, y=raw.OnesLike(x=x)),
        raw.AddV2(x=x, y=raw.ZerosLike(x=x)),
    )


@case
def Defaults(given, random):
    x = rows(given, random, 2, 3)
    keep = raw.PlaceholderWithDefault(input=tf.constant(0.5), shape=[])
    with tf.control_dependencies([tf.no_op(name="nothing")]):
        y = raw.RealDiv(x=x, y=keep)
    return raw.StopGradient(input=raw.Snapshot(input=y)), raw.CheckNumerics(tensor=y, message="")


@case
def Constants(given, random):
    """Every way in which a constant holds its numbers."""
    x = given("x", np.zeros([2, 2], np.float32), [None, 2])
    casts = []
    for name in "float64 int64 int32 int16 int8 uint8 uint16 float16 bfloat16 bool uint32 uint64".split():
        for values in ([[1, 0]], [[3, 1]], 1):
            numbers = np.array(values).astype(getattr(tf, name).as_numpy_dtype)
            casts.append(raw.Cast(x=tf.constant(numbers), DstT=tf.float32))
    return [raw.AddV2(x=x, y=each) for each in casts]
