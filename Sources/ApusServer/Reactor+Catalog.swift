import ApusBase

/// The models that a reactor serves.
extension Reactor {
  /// Takes the newest catalog where there is a new one. The one before may be given up by it, so that this is
  /// called only where no call is under way.
  mutating func takeCatalog() {
    guard fleet.generation != catalog.generation else { return }
    let needs = catalog.needs
    catalog = fleet.catalog
    if catalog.needs != needs {
      buffers = ModelBuffers(catalog.needs, limits)
      recorder.set(.workspaceBytes, UInt64(buffers.byteCount))
    }
    // Rows of versions that are gone; jobs keep what they still need.
    rowRings.removeAll()
    jobsOfEarlierCatalogs = jobsInUse
    tellAdopted()
  }

  /// Calls that wait still use the catalog with which they came.
  func tellAdopted() {
    if jobsOfEarlierCatalogs == 0 { fleet.adopted(catalog.generation, by: index) }
  }
}
