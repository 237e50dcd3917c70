import ApusJSON

/// Asks a store what it holds: its `index.json`, or, of an S3 store without one, the listing.
struct CatalogReader: ~Copyable {
  private let settings: StoreSettings
  private var tag: String?
  private var last = StoreCatalog()
  /// The versions of the last listing, for `waitsForQuiet`.
  private var listed: [String: StoreVersion]?

  static let key = "index.json"
  private static let mostPages = 1000

  init(_ settings: StoreSettings) { self.settings = settings }

  /// - Returns: the catalog, and what was left out of it, a line each.
  /// - Throws: `StoreError`.
  mutating func read(
    _ connection: borrowing StoreConnection
  ) throws(StoreError) -> (catalog: StoreCatalog, problems: [String]) {
    do throws(StoreError) {
      return (try readIndex(connection), [])
    } catch {
      guard error.kind == .missing || error.kind == .denied else { throw error }
      guard settings.location.kind == .s3 else {
        guard error.kind == .missing else { throw error }
        throw StoreError(
          .missing, "\(error); a folder gets its index by `apus-store index FOLDER`")
      }
    }
    tag = nil
    return try list(connection)
  }

  private mutating func readIndex(
    _ connection: borrowing StoreConnection
  ) throws(StoreError) -> StoreCatalog {
    guard let object = try connection.object(Self.key, atMost: StoreIndex.mostBytes, unless: tag) else {
      return last
    }
    tag = nil
    do throws(JSONError) {
      last = try withBytes(object.bytes) { (bytes) throws(JSONError) in try StoreIndex.read(bytes) }
    } catch {
      throw StoreError(
        .unusable, "\(settings.location.url(Self.key).shown) cannot be used: \(shown(error.description))")
    }
    tag = object.tag
    return last
  }

  private mutating func list(
    _ connection: borrowing StoreConnection
  ) throws(StoreError) -> (catalog: StoreCatalog, problems: [String]) {
    var models = ListedModels()
    var token: String?
    var pages = 0
    repeat {
      let page = try connection.page(after: token)
      for entry in page.entries where entry.key.hasPrefix(settings.location.prefix) {
        models.add(
          key: entry.key.dropFirst(settings.location.prefix.count), byteCount: entry.byteCount,
          tag: entry.tag)
      }
      token = page.continuation
      pages += 1
      guard pages <= Self.mostPages else {
        throw StoreError(
          .unusable, "\(settings.location.listing(after: nil).shown) has more than a million objects; "
            + "give the store an index.json, or use a longer prefix")
      }
    } while token != nil
    return (settings.waitsForQuiet ? quiet(models.catalog) : models.catalog, models.problems)
  }

  /// Leaves out versions that someone may be uploading at this moment: those without a manifest, which would
  /// say what belongs to them, that were not the same the last time.
  private mutating func quiet(_ catalog: StoreCatalog) -> StoreCatalog {
    var now: [String: StoreVersion] = [:]
    var result = catalog
    for index in result.models.indices {
      let name = result.models[index].name
      for version in result.models[index].versions { now["\(name)/\(version.number)"] = version }
      result.models[index].versions.removeAll { version in
        !version.files.contains { $0.name == "manifest.json" }
          && listed?["\(name)/\(version.number)"]?.record != version.record
      }
      // It may name what was left out.
      if result.models[index].versions != catalog.models[index].versions { result.models[index].state = nil }
    }
    listed = now
    return result
  }
}
