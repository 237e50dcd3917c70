"""Writes protocolN.pth: the state_dict of a Linear(3, 2) in the zip form of torch.save, pickled with protocol N.

Needs no PyTorch: stand-ins under PyTorch's names are pickled. Weights are 0 … 5, biases 10 and 11.
The other files: tensors of torch._utils._rebuild_tensor_v3, and what Python 2 wrote (a text is a byte string, an
OrderedDict is made from a list of pairs).
"""
import collections, io, pickle, struct, sys, types, zipfile

torch = types.ModuleType("torch")
utils = types.ModuleType("torch._utils")
storage_module = types.ModuleType("torch.storage")


def function(module, name):
    def stand_in(*arguments):
        raise RuntimeError("only pickled")

    stand_in.__module__, stand_in.__qualname__, stand_in.__name__ = module.__name__, name, name
    setattr(module, name, stand_in)
    return stand_in


def kind(module, name):
    stand_in = type(name, (), {"__module__": module.__name__})
    setattr(module, name, stand_in)
    return stand_in


sys.modules.update({"torch": torch, "torch._utils": utils, "torch.storage": storage_module})
rebuild_v2, rebuild_v3 = function(utils, "_rebuild_tensor_v2"), function(utils, "_rebuild_tensor_v3")
rebuild_parameter = function(utils, "_rebuild_parameter")
float_storage, untyped_storage = kind(torch, "FloatStorage"), kind(storage_module, "UntypedStorage")
uint16 = function(torch, "uint16")


class Storage:
    def __init__(self, kind, key, count):
        self.id = ("storage", kind, key, "cpu", count)


class Reduced:
    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


class Pickler(pickle._Pickler):  # The Python form honours every protocol's own opcodes.
    def persistent_id(self, value):
        return value.id if isinstance(value, Storage) else None


def pickled(value, protocol):
    out = io.BytesIO()
    Pickler(out, protocol).dump(value)
    return out.getvalue()


def archive(name, data_pkl, storages):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_STORED) as out:
        for entry, data in [("a/data.pkl", data_pkl), *((f"a/data/{k}", v) for k, v in storages.items())]:
            out.writestr(zipfile.ZipInfo(entry), data)


def tensor(storage, shape, strides, rebuild=rebuild_v2, *more):
    return Reduced(rebuild, (storage, 0, shape, strides, False, collections.OrderedDict(), *more))


weights, biases = struct.pack("<6f", *range(6)), struct.pack("<2f", 10, 11)
weight = tensor(Storage(float_storage, "0", 6), (2, 3), (3, 1))
bias = tensor(Storage(float_storage, "1", 2), (2,), (1,))
for protocol in range(1, 6):
    state = collections.OrderedDict([("fc.weight", weight), ("fc.bias", bias)])
    if protocol % 2 == 0:
        state["fc.bias"] = Reduced(rebuild_parameter, (bias, True, collections.OrderedDict()))
    archive(f"protocol{protocol}.pth", pickled(state, protocol), {"0": weights, "1": biases})

counts = tensor(Storage(untyped_storage, "0", 6), (3,), (1,), rebuild_v3, uint16)
archive("untyped.pth", pickled({"counts": counts}, 2), {"0": struct.pack("<3H", 1, 2, 65535)})

# Python 2: SHORT_BINSTRING for texts, OrderedDict([[name, tensor], …]).
pairs = pickled(Reduced(collections.OrderedDict, ([["fc.weight", weight], ["fc.bias", bias]],)), 2)
pairs = pairs.replace(b"X\x09\0\0\0fc.weight", b"U\x09fc.weight").replace(b"X\x07\0\0\0fc.bias", b"U\x07fc.bias")
archive("python2.pth", pairs, {"0": weights, "1": biases})
