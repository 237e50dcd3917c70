/// The arrays of a file of numpy.savez: a zip archive with an entry `NAME.npy` for each.
package enum NumPyArchive {
  /// Reads every array; nothing of the bytes is kept.
  ///
  /// - Parameter allow: throws for the name of an array that is not wanted, before it is read.
  /// - Throws: `malformed`; `unsupported` for compressed entries and for elements that are no plain numbers.
  package static func read(
    _ bytes: UnsafeRawBufferPointer, allow: (String) throws(NumPyError) -> Void
  ) throws(NumPyError) -> [String: NumPyFile] {
    let archive: ZipArchive
    do throws(FormatError) {
      archive = try ZipArchive(
        FileBytes(bytes), advice: "write it with numpy.savez, not savez_compressed")
    } catch {
      throw .unsupported(error.description)
    }
    var arrays: [String: NumPyFile] = [:]
    for entry in archive.entries {
      guard entry.name.hasSuffix(".npy") else {
        throw .unsupported("its entry \(printable(entry.name)) is no array")
      }
      let name = String(entry.name.dropLast(".npy".count))
      try allow(name)
      do throws(NumPyError) {
        arrays[name] = try NumPyFile(parsing: entry.contents.bytes)
      } catch {
        throw .unsupported("\(printable(name)): \(error)")
      }
    }
    return arrays
  }
}
