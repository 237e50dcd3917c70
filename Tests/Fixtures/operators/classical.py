"""Cases of ai.onnx.ml: models that scikit-learn has trained, and trees of every kind made at random."""
import itertools

import numpy
from onnx import numpy_helper
from skl2onnx import to_onnx
from sklearn import ensemble, linear_model, svm, tree

DOMAIN = "ai.onnx.ml"
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
random = numpy.random.default_rng(11)


def data(classes, features=4, rows=60):
    x = random.standard_normal((rows, features)).astype(numpy.float32)
    y = (x @ random.standard_normal((features, classes))).argmax(axis=1)
    y[:classes] = range(classes)
    return x, y


def add(family):
    trained(family)
    # ONNX Runtime fails for a single class with a text for a label.
    for count, texts in ((1, False), (2, False), (2, True), (3, False), (3, True)):
        random_trees(family, count, texts)
    linear(family)
    features(family)
    encoders(family)
    regressors(family)


def trained(family):
    """The classifier's node of each model, without what converters put around it."""
    for classes, texts in itertools.product((2, 3), (False, True)):
        x, y = data(classes)
        labels = numpy.array(["no", "yes", "perhaps"])[y] if texts else y
        models = [
            linear_model.LogisticRegression(), tree.DecisionTreeClassifier(max_depth=4, random_state=1),
            ensemble.RandomForestClassifier(5, max_depth=3, random_state=1),
            ensemble.ExtraTreesClassifier(3, max_depth=3, random_state=1),
            ensemble.GradientBoostingClassifier(n_estimators=4, max_depth=2, random_state=1),
            svm.LinearSVC(random_state=1), linear_model.RidgeClassifier(),
        ]
        models += [
            svm.SVC(kernel=kernel, probability=probability, coef0=0.5, degree=degree, random_state=1)
            for kernel, degree in (("linear", 3), ("poly", 2), ("poly", 3), ("poly", 4), ("rbf", 3), ("sigmoid", 3))
            for probability in (False, True)
        ]
        for model in models:
            model.fit(x, labels)
            options = None if isinstance(model, svm.LinearSVC) else {"zipmap": False}
            converted = to_onnx(model, x[:1], options=options, target_opset={"": 17, DOMAIN: 3})
            for node in converted.graph.node:
                if node.op_type in ("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"):
                    family.add_node(node, 3, [x[:7]], tolerance=1e-4)
                if node.op_type == "SVMClassifier" and model.kernel == "rbf" and not texts:
                    transformed(family, node, x[:7])
    x, y = data(2)
    for model in (linear_model.LinearRegression(), svm.SVR(), svm.SVR(kernel="linear"), svm.OneClassSVM()):
        converted = to_onnx(model.fit(x, x[:, 0] * 2 + y), x[:1], target_opset={"": 17, DOMAIN: 3})
        for node in converted.graph.node:
            if node.op_type in ("LinearRegressor", "SVMRegressor"):
                family.add_node(node, 3, [x[:7]], tolerance=1e-4)


def transformed(family, node, x):
    for transform in TRANSFORMS[1:4]:
        for attribute in node.attribute:
            if attribute.name == "post_transform":
                attribute.s = transform.encode()
        family.add_node(node, 3, [x], tolerance=1e-4)


def random_tree(number, classes, depth, modes, features):
    """The rows of a tree's nodes and those of its weights."""
    nodes, weights = [], []

    def grow(level):
        place = len(nodes)
        nodes.append(None)
        if level == depth or level > 0 and random.random() < 0.2:
            nodes[place] = (number, place, "LEAF", 0, 0.0, 0, 0, 0)
            for target in sorted(random.choice(classes, random.integers(1, len(classes) + 1), replace=False)):
                weights.append((number, place, int(target), float(random.standard_normal())))
            return place
        true, false = grow(level + 1), grow(level + 1)
        value = float(random.integers(-1, 2)) if random.random() < 0.5 else float(random.standard_normal())
        nodes[place] = (
            number, place, str(random.choice(modes)), int(random.integers(features)), value, true, false,
            int(random.integers(2)))
        return place

    grow(0)
    return nodes, weights


def random_trees(family, classes, texts):
    """Trees whose leaves give one class weights, or any, all positive or not, with and without base values."""
    x = random.integers(-2, 3, (9, 3)).astype(numpy.float32)
    x[0, 0] = numpy.nan
    x[1:4] = random.standard_normal((3, 3))
    for transform, targets, sign, bases in itertools.product(
            TRANSFORMS, ([0], [classes - 1], list(range(classes))), (0, 1), sorted({0, classes, 1 if classes == 2 else 0})):
        # ONNX Runtime leaves the second of two scores as it is in memory.
        if classes == 2 and (transform == "PROBIT" and targets == [0] or bases == 1 and len(targets) > 1):
            continue
        modes = MODES if sign else [str(random.choice(MODES))]
        trees = [random_tree(number, targets, 3, modes, 3) for number in range(2)]
        nodes = [node for one, _ in trees for node in one]
        weights = [weight for _, one in trees for weight in one]
        columns = list(zip(*nodes))
        of = list(zip(*weights))
        values = [abs(value) if sign else value for value in of[3]]
        if transform == "PROBIT":
            values = [abs(value) % 0.3 for value in values]
        attributes = {
            "nodes_treeids": columns[0], "nodes_nodeids": columns[1], "nodes_modes": columns[2],
            "nodes_featureids": columns[3], "nodes_values": columns[4], "nodes_truenodeids": columns[5],
            "nodes_falsenodeids": columns[6], "nodes_missing_value_tracks_true": columns[7],
            "class_treeids": of[0], "class_nodeids": of[1], "class_ids": of[2], "class_weights": values,
            "post_transform": transform,
        }
        if bases:
            attributes["base_values"] = [float(value) for value in random.random(bases) * 0.2]
        labels = ["no", "yes", "perhaps"] if texts else [7, 3, 5]
        attributes["classlabels_strings" if texts else "classlabels_int64s"] = labels[:classes]
        dtype = [numpy.float32, numpy.float64, numpy.int64, numpy.int32][random.integers(4)]
        given = numpy.nan_to_num(x).astype(dtype) if dtype in (numpy.int64, numpy.int32) else x.astype(dtype)
        # Texts and numbers are labels of the same models: half of each is enough.
        if random.random() < 0.5:
            tolerance = 1e-3 if transform == "PROBIT" else 1e-5
            family.add(
                "TreeEnsembleClassifier", 3, [given], outputs=2, domain=DOMAIN, absolute=tolerance, **attributes)


def linear(family):
    for classes, transform, texts in itertools.product((1, 2, 3), TRANSFORMS, (False, True)):
        count = max(classes, 2)
        labels = ["no", "yes", "perhaps"][:count] if texts else [7, 3, 5][:count]
        if classes == 1 and transform == "PROBIT":
            continue  # ONNX Runtime leaves half of the scores as they are in memory.
        family.add(
            "LinearClassifier", 1, [random.random((4, 3)).astype(numpy.float32) * numpy.float32(0.3)], outputs=2,
            domain=DOMAIN, coefficients=[float(v) for v in random.random(classes * 3)],
            intercepts=[float(v) for v in random.random(classes) * 0.1 - (0.2 if texts else 0)],
            absolute=1e-3 if transform == "PROBIT" else 1e-5, post_transform=transform,
            **{"classlabels_strings" if texts else "classlabels_ints": labels})
    for dtype in (numpy.float64, numpy.int64, numpy.int32):
        family.add(
            "LinearClassifier", 1, [random.integers(-5, 5, (4, 3)).astype(dtype)], outputs=2, domain=DOMAIN,
            coefficients=[1.0, 2.0, -1.0, 0.5, 0.5, 0.5], intercepts=[0.5, -0.5], classlabels_ints=[4, 9])
    for transform in TRANSFORMS[:3]:
        family.add(
            "LinearRegressor", 1, [random.standard_normal((4, 3)).astype(numpy.float32)], domain=DOMAIN,
            coefficients=[float(v) for v in random.random(6)], intercepts=[0.5, -0.5], targets=2,
            post_transform=transform)


def features(family):
    x = random.standard_normal((4, 3)).astype(numpy.float32)
    for dtype in (numpy.float32, numpy.float64, numpy.int64, numpy.int32):
        given = (x * 5).astype(dtype)
        family.add("Scaler", 1, [given], domain=DOMAIN, offset=[0.5, 1.0, -1.0], scale=[2.0, 0.5, 1.0])
        family.add("Scaler", 1, [given], domain=DOMAIN, offset=[0.5], scale=[2.0])
        for norm in ("MAX", "L1", "L2"):
            family.add("Normalizer", 1, [given], domain=DOMAIN, norm=norm)
        family.add("ArrayFeatureExtractor", 1, [given, numpy.array([2, 0])], domain=DOMAIN)
        family.add("FeatureVectorizer", 1, [given, given[:, :2]], domain=DOMAIN, inputdimensions=[3, 2])
        family.add("OneHotEncoder", 1, [(x[0] * 2).astype(dtype)], domain=DOMAIN, cats_int64s=[-1, 0, 1, 2])
    family.add("Normalizer", 1, [numpy.zeros((1, 3), numpy.float32)], domain=DOMAIN, norm="L2")
    family.add("Binarizer", 1, [x], domain=DOMAIN, threshold=0.2)
    holes = x.copy()
    holes[1] = numpy.nan
    family.add(
        "Imputer", 1, [holes], domain=DOMAIN, imputed_value_floats=[1.0, 2.0, 3.0], replaced_value_float=numpy.nan)
    family.add("Imputer", 1, [holes], domain=DOMAIN, imputed_value_floats=[9.0], replaced_value_float=float(x[0, 1]))
    family.add(
        "Imputer", 1, [numpy.array([[1, 2], [2, 3]])], domain=DOMAIN, imputed_value_int64s=[7, 8],
        replaced_value_int64=2)


def encoders(family):
    whole = numpy.array([[3, 1, 2, 9]])
    real = numpy.array([1.5, numpy.nan, -0.0, 4.0], numpy.float32)
    family.add("LabelEncoder", 2, [whole], domain=DOMAIN, keys_int64s=[1, 2, 3], values_floats=[0.1, 0.2, 0.3])
    family.add(
        "LabelEncoder", 2, [whole], domain=DOMAIN, keys_int64s=[1, 2, 3], values_strings=["one", "two", "three"],
        default_string="many")
    family.add(
        "LabelEncoder", 2, [real], domain=DOMAIN, keys_floats=[0.0, 1.5], values_int64s=[10, 15], default_int64=-7)
    family.add("LabelEncoder", 2, [real], domain=DOMAIN, keys_floats=[0.0, 1.5], values_floats=[10.0, 15.0])
    family.add(
        "LabelEncoder", 4, [real.astype(numpy.float64)], domain=DOMAIN,
        keys_tensor=numpy_helper.from_array(numpy.array([1.5, numpy.nan])),
        values_tensor=numpy_helper.from_array(numpy.array([2.5, 8.0])),
        default_tensor=numpy_helper.from_array(numpy.array([-3.5])))
    family.add("LabelEncoder", 1, [numpy.array([0, 1, 5])], domain=DOMAIN, classes_strings=["no", "yes"])


def regressors(family):
    """Trees that sum, average or choose, of one target or several, with and without base values."""
    x = random.integers(-2, 3, (5, 3)).astype(numpy.float32)
    x[0, 0] = numpy.nan
    for function, targets, bases in itertools.product(("SUM", "AVERAGE", "MIN", "MAX"), (1, 3), (False, True)):
        trees = [random_tree(number, list(range(targets)), 3, MODES, 3) for number in range(3)]
        columns = list(zip(*(node for one, _ in trees for node in one)))
        of = list(zip(*(weight for _, one in trees for weight in one)))
        attributes = {
            "nodes_treeids": columns[0], "nodes_nodeids": columns[1], "nodes_modes": columns[2],
            "nodes_featureids": columns[3], "nodes_values": columns[4], "nodes_truenodeids": columns[5],
            "nodes_falsenodeids": columns[6], "nodes_missing_value_tracks_true": columns[7],
            "target_treeids": of[0], "target_nodeids": of[1], "target_ids": of[2], "target_weights": of[3],
            "n_targets": targets, "aggregate_function": function,
        }
        if bases:
            attributes["base_values"] = [float(value) for value in random.random(targets)]
        dtype = [numpy.float32, numpy.float64][random.integers(2)]
        family.add("TreeEnsembleRegressor", 3, [x.astype(dtype)], domain=DOMAIN, **attributes)
