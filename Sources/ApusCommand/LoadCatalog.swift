import ApusEngine
import ApusModels
import ApusServer
import Logging

/// Loads every version of a folder; one that fails stays in the catalog with its reason.
func loadCatalog(_ path: String, _ log: Logger) throws -> Catalog {
  let versions: [ModelVersion]
  do throws(ModelError) { versions = try ModelRepository(path: path).load() } catch {
    throw CommandFailure("\(error)")
  }
  return Catalog(
    versions.map { version in
      let state: Result<Network, FailedModel>
      switch version.state {
      case .ready(let network):
        for note in version.notes { log.info("\(version.name) \(version.version): \(note)") }
        log.info("loaded \(version.name) version \(version.version): \(network.summary)")
        state = .success(network)
      case .failed(let reason):
        log.error("\(version.name) version \(version.version) is not served: \(reason)")
        state = .failure(FailedModel(reason: reason))
      }
      return ServedModel(
        name: version.name, version: version.version, format: version.format, digest: version.digest,
        labels: version.labels, aliases: version.aliases, inputShape: version.inputShape,
        features: version.features, batchMaximum: version.batchMaximum, state: state)
    })
}
