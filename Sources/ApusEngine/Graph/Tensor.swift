import ApusBase

/// A tensor that owns its elements, or keeps alive who does: a constant of a graph, for example weights where
/// they lie in a mapped file. It never changes once it is shared.
///
/// Invariant of the unsafe code: `start` covers `type.byteCount` bytes, aligned to the element, for as long
/// as `owner` lives.
package final class Tensor: @unchecked Sendable {
  package let type: TensorType
  package let start: UnsafeMutableRawPointer
  private let owner: any AnyObject & Sendable

  /// Zeroed elements.
  package init(_ type: TensorType) {
    let memory = TensorMemory(byteCount: type.byteCount)
    self.type = type
    start = memory.buffer.baseAddress
    owner = memory
  }

  /// Elements that lie in memory of someone else, who must not change them.
  ///
  /// - Precondition: `bytes` has `type.byteCount` bytes and is aligned to the element.
  package init(_ type: TensorType, in bytes: UnsafeRawBufferPointer, keeping owner: any AnyObject & Sendable)
  {
    precondition(bytes.count == type.byteCount, "a tensor of another size")
    self.type = type
    start = UnsafeMutableRawPointer(
      mutating: bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 64).unsafelyUnwrapped)
    self.owner = owner
  }

  /// A tensor of these values.
  ///
  /// - Throws: `GraphError` where the shape has another number of elements.
  package convenience init<Element: TensorElement>(
    _ values: [Element], _ shape: [Int]
  ) throws(GraphError) {
    let type = try TensorType(Element.elementType, shape)
    guard type.count == values.count else {
      throw GraphError("a tensor of shape \(shape) has \(type.count) elements, not \(values.count)")
    }
    self.init(type)
    let target = start.assumingMemoryBound(to: Element.self)
    for (index, value) in values.enumerated() { target[index] = value }
  }

  /// The same elements in another shape, where they lie.
  ///
  /// - Throws: `GraphError` where the shape has another number of elements.
  package func reshaped(_ shape: [Int]) throws(GraphError) -> Tensor {
    let type = try TensorType(self.type.element, shape)
    guard type.count == self.type.count else {
      throw GraphError("a tensor of \(self.type.count) elements has not the shape \(shape)")
    }
    return Tensor(type, in: bytes, keeping: owner)
  }

  /// The same elements in memory of the tensor's own: nobody can change them there, as a file that is mapped
  /// can be changed.
  package func owned() -> Tensor {
    guard !(owner is TensorMemory) else { return self }
    let copy = Tensor(type)
    copy.start.copyMemory(from: start, byteCount: type.byteCount)
    return copy
  }

  private var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: start, count: type.byteCount)
  }

  package var view: TensorView { TensorView(type: type, start: UnsafeRawPointer(start)) }
  /// For whoever has just made it.
  package var mutableView: MutableTensorView { MutableTensorView(type: type, start: start) }
}

private final class TensorMemory: Sendable {
  let buffer: AlignedBuffer
  init(byteCount: Int) { buffer = AlignedBuffer(byteCount: byteCount) }
}

/// A type that elements of tensors have in memory.
package protocol TensorElement: Sendable, BitwiseCopyable {
  static var elementType: ElementType { get }
}

extension Float: TensorElement { package static var elementType: ElementType { .float32 } }
extension Double: TensorElement { package static var elementType: ElementType { .float64 } }
extension Int8: TensorElement { package static var elementType: ElementType { .int8 } }
extension Int16: TensorElement { package static var elementType: ElementType { .int16 } }
extension Int32: TensorElement { package static var elementType: ElementType { .int32 } }
extension Int64: TensorElement { package static var elementType: ElementType { .int64 } }
extension UInt8: TensorElement { package static var elementType: ElementType { .uint8 } }
extension UInt16: TensorElement { package static var elementType: ElementType { .uint16 } }
extension UInt32: TensorElement { package static var elementType: ElementType { .uint32 } }
extension UInt64: TensorElement { package static var elementType: ElementType { .uint64 } }
/// A byte of 0 or 1. Where a file or a caller has another one, it is true: it is read as a number, never as a
/// Swift Bool, of which only two bit patterns are sound.
package struct TensorBool: TensorElement, Equatable {
  package let byte: UInt8
  package init(_ value: Bool) { byte = value ? 1 : 0 }
  package var value: Bool { byte != 0 }
  package static var elementType: ElementType { .bool }
}

/// Elements to read. Whoever makes one keeps them alive while it is used.
///
/// Invariant of the unsafe code: `start` covers `type.byteCount` bytes, aligned to the element.
package struct TensorView {
  package let type: TensorType
  package let start: UnsafeRawPointer

  package init(type: TensorType, start: UnsafeRawPointer) {
    self.type = type
    self.start = start
  }

  /// - Precondition: `Element` is the element's type.
  package func elements<Element: TensorElement>(
    _: Element.Type = Element.self
  ) -> UnsafeBufferPointer<Element> {
    precondition(Element.elementType == type.element, "elements of another type")
    return UnsafeBufferPointer(start: start.assumingMemoryBound(to: Element.self), count: type.count)
  }

  /// Whole numbers of any integer type: axes, shapes, indices.
  ///
  /// - Throws: `GraphError` for a tensor of another type.
  package func integers() throws(GraphError) -> [Int] {
    switch type.element {
    case .int64: elements(Int64.self).map { Int($0) }
    case .int32: elements(Int32.self).map { Int($0) }
    case .int16: elements(Int16.self).map { Int($0) }
    case .int8: elements(Int8.self).map { Int($0) }
    case .uint8: elements(UInt8.self).map { Int($0) }
    case .uint16: elements(UInt16.self).map { Int($0) }
    case .uint32: elements(UInt32.self).map { Int($0) }
    default: throw GraphError("whole numbers are asked for, not \(type.element.rawValue)")
    }
  }
}

/// Elements to write.
///
/// Invariant of the unsafe code: as that of `TensorView`, and nobody else reads or writes them meanwhile.
package struct MutableTensorView {
  package let type: TensorType
  package let start: UnsafeMutableRawPointer

  package init(type: TensorType, start: UnsafeMutableRawPointer) {
    self.type = type
    self.start = start
  }

  /// - Precondition: `Element` is the element's type.
  package func elements<Element: TensorElement>(
    _: Element.Type = Element.self
  ) -> UnsafeMutableBufferPointer<Element> {
    precondition(Element.elementType == type.element, "elements of another type")
    return UnsafeMutableBufferPointer(start: start.assumingMemoryBound(to: Element.self), count: type.count)
  }

  package var view: TensorView { TensorView(type: type, start: UnsafeRawPointer(start)) }
}
