import ApusEngine
/// The Python names that a state_dict needs. Each is a tag that tells the reader what to put together itself;
/// none is ever imported or called. Whatever is not in this list is refused by its name.
enum PickleGlobal: Equatable {
  case orderedDict
  /// `(storage, offset, size, stride)`
  case rebuildTensor
  /// `(storage, offset, size, stride, requires_grad, hooks[, metadata])`
  case rebuildTensorV2
  /// `(storage, offset, size, stride, requires_grad, hooks, dtype[, metadata])`
  case rebuildTensorV3
  /// `(tensor, requires_grad, hooks[, state])`
  case rebuildParameter
  /// A tuple of sizes.
  case size
  /// Something whose content is of no use here: a set, a device, bytes.
  case plain
  case storage(ElementType)
  /// A storage of bytes; the tensor names its own element type.
  case untypedStorage
  case elementType(ElementType)

  /// The tag for `module.name`.
  ///
  /// - Throws: `forbiddenName`, or `unsupported` for storages of element types that are not read.
  init(module: String, name: String) throws(FormatError) {
    if let known = Self.functions["\(module).\(name)"] {
      self = known
      return
    }
    if module == "torch" || module == "torch.cuda" || module == "torch.storage" {
      if let type = Self.storages[name] {
        self = .storage(type)
        return
      }
      if name == "UntypedStorage" {
        self = .untypedStorage
        return
      }
      if name.hasSuffix("Storage") { throw .unsupported("tensors of torch.\(printable(name))") }
    }
    if module == "torch", let type = ElementType(rawValue: name) {
      self = .elementType(type)
      return
    }
    throw .forbiddenName(printable("\(module).\(name)"))
  }

  private static let functions: [String: PickleGlobal] = [
    "collections.OrderedDict": .orderedDict,
    "torch._utils._rebuild_tensor": .rebuildTensor,
    "torch._utils._rebuild_tensor_v2": .rebuildTensorV2,
    "torch._utils._rebuild_tensor_v3": .rebuildTensorV3,
    "torch._utils._rebuild_parameter": .rebuildParameter,
    "torch._utils._rebuild_parameter_with_state": .rebuildParameter,
    "torch.Size": .size,
    "torch.device": .plain,
    "builtins.set": .plain,
    "builtins.frozenset": .plain,
    "__builtin__.set": .plain,
    "__builtin__.frozenset": .plain,
    "_codecs.encode": .plain,
  ]

  private static let storages: [String: ElementType] = [
    "FloatStorage": .float32,
    "DoubleStorage": .float64,
    "HalfStorage": .float16,
    "BFloat16Storage": .bfloat16,
    "LongStorage": .int64,
    "IntStorage": .int32,
    "ShortStorage": .int16,
    "CharStorage": .int8,
    "ByteStorage": .uint8,
    "BoolStorage": .bool,
    "ComplexFloatStorage": .complex64,
    "ComplexDoubleStorage": .complex128,
  ]
}
