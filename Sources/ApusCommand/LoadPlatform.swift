import ApusLog
import ApusModels
import ApusServer

/// Loads every version of a folder; one that fails is listed with its reason.
func loadPlatform(_ path: String, _ logs: ServeLog) throws(ModelError) -> Platform {
  let output = logs.output
  return try Platform(
    try ModelRepository(path: path), names: logs.access?.names,
    log: PlatformLog { level, text in output.write(level, text, logger: "apus") })
}
