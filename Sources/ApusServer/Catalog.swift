import ApusBase
import ApusEngine
package import ApusLog
import ApusWire

/// All versions of all models, by name. Immutable: a reactor holds one for as long as calls use it.
package final class Catalog: Sendable {
  /// By name, then version.
  package let models: [ServedModel]
  /// Where each version of `models` is counted; -1: nowhere.
  let slots: [Int]
  /// The number of each version's name in the access log.
  let nameNumbers: [Int32]
  /// Of the catalog before it, plus one.
  let generation: UInt64
  /// Memory that a thread needs to compute with any of them.
  let needs: ModelNeeds
  private let routes: [ModelRoute]
  /// Of `routes`.
  private let names: NameTable

  /// - Parameters:
  ///   - slots: where versions are counted; nil: each at its own place.
  ///   - names: gives models numbers in the access log.
  package init(
    _ models: [ServedModel], slots: [ObjectIdentifier: Int]? = nil, names: ModelNames? = nil,
    generation: UInt64 = 0
  ) {
    let sorted = models.sorted {
      $0.nameBytes == $1.nameBytes
        ? $0.version < $1.version : $0.nameBytes.lexicographicallyPrecedes($1.nameBytes)
    }
    self.models = sorted
    self.generation = generation
    needs = ModelNeeds(sorted)
    nameNumbers = sorted.map { names?.number(of: $0.name) ?? -1 }
    if let slots {
      self.slots = sorted.map { slots[ObjectIdentifier($0)] ?? -1 }
    } else {
      self.slots = Array(sorted.indices)
    }
    var routes: [ModelRoute] = []
    var first = 0
    while first < sorted.count {
      var end = first + 1
      while end < sorted.count, sorted[end].nameBytes == sorted[first].nameBytes { end += 1 }
      routes.append(ModelRoute(sorted, first..<end))
      first = end
    }
    self.routes = routes
    self.names = NameTable(routes.map { sorted[$0.versions.lowerBound].nameBytes })
  }

  /// Where a call goes.
  struct Choice {
    let index: Int
    /// The version that the call is mirrored to.
    let shadow: Int?
    /// Whether every such call goes there for as long as this catalog holds.
    let isFixed: Bool
  }

  /// The version that a call names: by number, by alias, or what `latest` means, unless a canary has the
  /// call.
  ///
  /// - Parameter draw: a random number, by which a call without a route key is given to one side of a canary.
  /// - Throws: NOT_FOUND, or UNAVAILABLE when the version is not ready.
  func find(
    _ selector: ModelSelector, draw: UInt64 = .max
  ) throws(Status) -> Choice {
    guard let route = route(of: selector.name) else {
      throw Status(.notFound, "MODEL_NOT_FOUND", "there is no model '\(printable(selector.name))' here")
    }
    let found: Int?
    if selector.version != 0 {
      found = route.versions.first { models[$0].version == selector.version }
    } else if selector.alias.isEmpty {
      found = route.choose(key: selector.routeKey, draw: draw) ?? route.versions.upperBound - 1
    } else {
      found = route.aliased(selector.alias)
    }
    guard let found else { throw noSuchVersion(route) }
    guard models[found].plan != nil else { throw models[found].unavailable }
    return Choice(
      index: found, shadow: selector.isRouted ? route.shadow : nil,
      isFixed: selector.isFixed || route.canary == nil)
  }

  /// Why a version or alias is not found, and which there are.
  func noSuchVersion(_ route: ModelRoute) -> Status {
    let versions = models[route.versions]
    let numbers = versions.suffix(Self.mostListed).map { String($0.version) }.joined(separator: ", ")
    let aliases = versions.flatMap(\.standing.aliases).prefix(Self.mostListed).joined(separator: ", ")
    var text = "model '\(models[route.versions.lowerBound].name)' has no such version or alias; there "
    text += versions.count == 1 ? "is version " : "are versions "
    text += versions.count > Self.mostListed ? "up to \(numbers)" : numbers
    if !aliases.isEmpty { text += ", and as aliases \(aliases)" }
    return Status(.notFound, "VERSION_NOT_FOUND", text)
  }

  /// Versions and aliases that a message lists.
  static let mostListed = 8

  /// The versions of one name; empty when there is none.
  func range(ofName name: UnsafeRawBufferPointer) -> Range<Int> { route(of: name)?.versions ?? 0..<0 }

  /// The versions of one name; empty when there is none.
  func versions(of name: String) -> ArraySlice<ServedModel> {
    var name = name
    return name.withUTF8 { models[range(ofName: UnsafeRawBufferPointer($0))] }
  }

  /// How calls of one name find their version; nil when there is no such model.
  func route(of name: UnsafeRawBufferPointer) -> ModelRoute? {
    names.place(of: name).map { routes[$0] }
  }
}

/// How the calls of one model find their version.
struct ModelRoute: Sendable {
  /// Places in the catalog, by rising version.
  let versions: Range<Int>
  /// What a call without version and alias goes to; nil: no version is ready.
  let latest: Int?
  /// The version that gets a share of these calls, and the share in 1/10,000.
  let canary: (index: Int, weight: UInt32)?
  /// The version that they are mirrored to.
  let shadow: Int?
  private let aliases: [(name: [UInt8], index: Int)]

  init(_ models: [ServedModel], _ versions: Range<Int>) {
    self.versions = versions
    let ready = versions.filter { models[$0].plan != nil }
    let named = ready.last { models[$0].standing.aliases.contains("latest") }
    latest = named ?? ready.last
    canary = ready.last { models[$0].standing.weight > 0 }.map { ($0, models[$0].standing.weight) }
    shadow = ready.last { models[$0].standing.isShadow }
    aliases = versions.flatMap { index in
      models[index].standing.aliases.map { (Array($0.utf8), index) }
    }
  }

  /// Sticky for a route key (FNV-1a, 64 bits, folded by a multiplication), by chance without one.
  func choose(key: UnsafeRawBufferPointer, draw: UInt64) -> Int? {
    guard let canary else { return latest }
    let number = key.isEmpty ? draw : Self.hash(key)
    let place = UInt32(truncatingIfNeeded: number.multipliedFullWidth(by: 10_000).high)
    return place < canary.weight ? canary.index : latest
  }

  /// The version that an alias means, be it ready or not.
  func aliased(_ alias: UnsafeRawBufferPointer) -> Int? {
    if alias.elementsEqual("latest".utf8) { return latest }
    return aliases.first { $0.name.elementsEqual(alias) }?.index
  }

  /// FNV-1a (draft-eastlake-fnv-17) and then a mix of its bits, as its upper ones hardly depend on the last
  /// bytes of a key.
  static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in key { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    hash = (hash ^ (hash >> 32)) &* 0x9E37_79B9_7F4A_7C15
    return hash ^ (hash >> 29)
  }
}

extension ServedModel {
  /// Why a version that is there answers no call.
  var unavailable: Status {
    let which = "model '\(name)' version \(version)"
    switch state {
    case .loading, .warming:
      return Status(
        .unavailable, "MODEL_LOADING", "\(which) is loading; try again",
        retryAfterNanoseconds: 100_000_000)
    case .withdrawn: return Status(.notFound, "VERSION_NOT_FOUND", "\(which) was withdrawn")
    case .unloaded, .draining:
      return Status(.unavailable, "MODEL_UNLOADED", "\(which) is not loaded; see `apus model load`")
    case .failed, .ready, .unspecified:
      return Status(.unavailable, "MODEL_FAILED", "\(which) could not be loaded; see `apus models`")
    }
  }
}

/// A name from a client for a message: cut, and without what a terminal would act on.
func printable(_ bytes: UnsafeRawBufferPointer) -> String {
  String(decoding: bytes.prefix(64).map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
}
