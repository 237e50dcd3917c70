import ApusLog
import ApusModels
import ApusServer

/// Loads every version of a folder; one that fails is listed with its reason.
func loadPlatform(
  _ folder: String, _ told: ServeConfiguration, _ logs: ServeLog
) throws(ModelError) -> Platform {
  let output = logs.output
  var loader = ModelLoader()
  if let keys = told.trustedKeys { loader.trusted = try TrustedKeys(folder: keys) }
  loader.requiresSignatures = told.requiresSignatures
  loader.plans = PlanCache(folder: told.planCache ?? standardCacheFolder())
  return try Platform(
    try ModelRepository(path: folder), loader: loader, names: logs.access?.names,
    log: PlatformLog { level, text in output.write(level, text, logger: "apus") })
}
