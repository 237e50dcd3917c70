import Glibc

/// A system call that failed: what was being done and the kernel's reason.
package struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  package let operation: String
  package let errorNumber: Int32

  package init(_ operation: String, errorNumber: Int32) {
    self.operation = operation
    self.errorNumber = errorNumber
  }

  package var description: String { "\(operation): \(String(cString: strerror(errorNumber)))" }
}

/// Turns a kernel's answer, negative for an error, into a value or an error.
func check(_ result: Int32, _ operation: @autoclosure () -> String) throws(SystemError) -> Int32 {
  guard result >= 0 else { throw SystemError(operation(), errorNumber: -result) }
  return result
}
