/// Why a weight file is refused, or does not make a network.
package enum FormatError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The content is none of the known formats.
  case unknownFormat(String)
  /// A part of the file ends too early, at this byte of the part.
  case truncated(part: String, position: Int)
  /// The file breaks a rule of its format.
  case malformed(String)
  /// A pickle names a Python function or class that tensors do not need.
  case forbiddenName(String)
  /// A pickle holds a whole Python object (as `torch.save(model)` writes) instead of weights.
  case pickledClass(String)
  /// Sound, but of a kind that is not read.
  case unsupported(String)
  /// No tensors under names were found.
  case noStateDict(String)
  /// One tensor's shape, strides, type or place is wrong.
  case tensor(name: String, problem: String)
  /// One node of a graph is not computed, or not sound.
  case node(name: String, problem: String)
  /// The tensors do not make the architecture.
  case architecture(String)

  package var description: String {
    switch self {
    case .unknownFormat(let found):
      "not a PyTorch (.pth) or safetensors file: \(found)"
    case .truncated(let part, let position):
      "\(part) is cut short: it ends at byte \(position)"
    case .malformed(let problem):
      "damaged file: \(problem)"
    case .forbiddenName(let name):
      "this file wants to call \(name); only tensors are read, nothing is executed"
    case .pickledClass(let name):
      "this file holds a Python object of class \(name), not only weights; classes are never loaded: "
        + "save the weights alone with torch.save(model.state_dict(), …)"
    case .unsupported(let what):
      "not supported: \(what)"
    case .noStateDict(let found):
      "no state_dict: \(found); save one with torch.save(model.state_dict(), …)"
    case .tensor(let name, let problem):
      "tensor \(name): \(problem)"
    case .node(let name, let problem):
      "node \(name): \(problem)"
    case .architecture(let problem):
      problem
    }
  }
}

/// A text from a file made fit for a one-line message: control characters escaped, 100 characters
/// at most where no other limit is given.
func printable(_ text: String, limit: Int = 100) -> String {
  var result = ""
  var length = 0
  for scalar in text.unicodeScalars {
    guard length < limit else { return result + "…" }
    result += scalar.isPrintable ? String(scalar) : scalar.escaped(asASCII: true)
    length += 1
  }
  return result
}

extension Unicode.Scalar {
  /// Whether it may stand in a message of one line.
  var isPrintable: Bool {
    if isASCII { return value >= 0x20 && value < 0x7f }
    switch properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator:
      return false
    default: return true
    }
  }
}

/// A shape as PyTorch prints it, for example `[2, 100]`.
func printable(_ shape: [Int]) -> String { "[" + shape.map(String.init).joined(separator: ", ") + "]" }
