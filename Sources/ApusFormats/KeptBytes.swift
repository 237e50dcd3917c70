/// An owner of bytes that are in memory twice once they are copied: a mapping, whose pages can be read again.
package protocol ForgetfulOwner: AnyObject, Sendable {
  /// Gives the memory of some of its bytes back. They may be read again all the same.
  func forget(_ bytes: UnsafeRawBufferPointer)
}

/// The bytes of a file, and who keeps them where they are: a mapping.
///
/// Invariant of the unsafe code that reads them: `bytes` stay readable and unchanged for as long as `owner`
/// lives.
package struct KeptBytes: @unchecked Sendable {
  package let bytes: UnsafeRawBufferPointer
  package let owner: any AnyObject & Sendable

  package init(_ bytes: UnsafeRawBufferPointer, keeping owner: any AnyObject & Sendable) {
    self.bytes = bytes
    self.owner = owner
  }
}
