/// Stands for the repository, of which the readers of its files need the names alone.
package enum ModelRepository {
  package static func isModelName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 128 && !name.utf8.contains(UInt8(ascii: "/"))
  }
}

/// Stands for the loader, of which they need the bound alone.
enum VersionLoader {
  static let maximumFiles = 64
}
